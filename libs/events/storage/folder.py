"""Files in a folder of this machine, or one that is mounted."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from libs.events.errors import StoreUnavailable
from libs.events.storage.locations import checked

P = ParamSpec("P")
T = TypeVar("T")

_HIDDEN: Final = "."
"""How the name of a file begins that is not whole yet; no name of ours does.  A kill may leave one behind."""


class FolderStore:
    """A FileStore whose files are written aside, synced, and renamed; then their folder is synced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, name: str, content: bytes) -> None:
        """As FileStore says."""
        await _in_a_thread(_put, self._path(name), content)

    async def create(self, name: str, content: bytes) -> bool:
        """As FileStore says."""
        return await _in_a_thread(_create, self._path(name), content)

    async def get(self, name: str) -> bytes | None:
        """As FileStore says."""
        return await _in_a_thread(_get, self._path(name))

    async def names(self, prefix: str = "") -> AsyncGenerator[str]:
        """As FileStore says."""
        below = self._path(prefix) if prefix else self._folder
        for path in await _in_a_thread(_below, self._folder, below):
            yield path.relative_to(self._folder).as_posix()

    async def delete(self, name: str) -> None:
        """As FileStore says."""
        await _in_a_thread(_delete, self._path(name))

    def _path(self, name: str) -> Path:
        return self._folder / checked(name)


async def _in_a_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        raise StoreUnavailable(f"{error.filename}: {error.strerror}") from error


def _put(path: Path, content: bytes) -> None:
    with _aside(path, content) as written:
        written.replace(path)
        _sync(path.parent)


def _create(path: Path, content: bytes) -> bool:
    with _aside(path, content) as written:
        try:
            path.hardlink_to(written)  # unlike a rename it replaces nothing
        except FileExistsError:
            return False
        _sync(path.parent)
    return True


def _get(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _below(root: Path, folder: Path) -> list[Path]:
    def fail(error: OSError) -> None:
        is_a_file = isinstance(error, NotADirectoryError) and error.filename != str(root)
        if not is_a_file and not isinstance(error, FileNotFoundError):
            raise error

    return [
        Path(where) / name
        for where, _, names in os.walk(folder, onerror=fail)
        for name in names
        if not name.startswith(_HIDDEN)
    ]


def _delete(path: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
        _sync(path.parent)


@contextmanager
def _aside(path: Path, content: bytes) -> Generator[Path]:
    """A file beside *path* with this content, on the disk; it is gone afterwards, wherever it is not moved."""
    _make(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_HIDDEN)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _make(folder: Path) -> None:
    """Make it and those above it, each entered into the one above on the disk."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
