"""The rejects file: every record that was not taken, with its line, column, value and reason."""

import csv
from pathlib import Path
from typing import IO, Final, Self

from cli.importing.errors import SourceInvalid
from cli.importing.rows import Reject

HEADER: Final = ("line", "column", "value", "reason")


def default_path(source: Path) -> Path:
    """Where rejects go when nothing else is asked for: in the current folder, named after the file."""
    return Path(f"{source.name}.rejects.csv")


class Rejects:
    """Writes rejects as they come; the file exists only if there is one.  A context manager."""

    def __init__(self, path: Path, source: Path) -> None:
        """Raises SourceInvalid when *path* holds something that must not be overwritten."""
        self.path = path
        self.count = 0
        self._file: IO[str] | None = None
        if path.exists() and (not path.is_file() or path.samefile(source) or not _is_ours(path)):
            raise SourceInvalid(f"{path} is there and holds no rejects: name another file with --rejects")

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)  # those of an earlier run
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, reject: Reject) -> None:
        """Write one reject.  Raises SourceInvalid when the file cannot be written."""
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", newline="")
                csv.writer(self._file).writerow(HEADER)
            csv.writer(self._file).writerow(reject)
            self.count += 1
        except OSError as error:
            raise SourceInvalid(f"{self.path}: {error.strerror}") from error


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.readline(100).strip()
    return start in {b"", ",".join(HEADER).encode()}
