"""The file: whichever way it is packed, its records one after another with the lines where they begin."""

import csv
import gzip
import lzma
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Protocol, cast

from cli.importing.errors import SourceInvalid
from cli.importing.mapping import Mapping

FIELD_CHARACTERS_MAX: Final = (
    131_072  # the csv module's own bound, so that one stray quote cannot eat a whole file
)
_GZIP: Final = b"\x1f\x8b"
_XZ: Final = b"\xfd7zXZ\x00"
_OTHER_PACKINGS: Final = {
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"7z\xbc\xaf": "7z",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_BROKEN_PACKING: Final = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile)


class _Reader(Protocol):
    """What `csv.reader` makes."""

    @property
    def line_num(self) -> int: ...
    def __next__(self) -> list[str]: ...


class Record(NamedTuple):
    """One record of the file, header not counted."""

    line: int
    """The line of the file where it begins, from 1."""
    values: Sequence[str]
    problem: str | None = None
    """Why it is no record of this file, if it is none; *values* are then empty."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that can be read from beginning to end by its mapping; made by `preflight`."""

    path: Path
    mapping: Mapping
    header: tuple[str, ...]
    rows: int
    """How many records there are."""

    def records(self) -> Iterator[Record]:
        """All records, in order, without holding the file in memory."""
        with _opened(self.path, self.mapping) as lines:
            reader = _reader(lines, self.mapping)
            next(reader)
            yield from _records(reader, len(self.header))


def preflight(path: Path, mapping: Mapping) -> SourceFile:
    """The file, read once from beginning to end.  Raises SourceInvalid, before anything is written."""
    try:
        with _opened(path, mapping) as lines:
            reader = _reader(lines, mapping)
            header = _header(path, reader)
            _check_columns(path, header, mapping)
            rows = sum(1 for _ in _records(reader, len(header)))
    except _BROKEN_PACKING as error:
        raise SourceInvalid(f"{path}: the archive is broken: {error}") from error
    except OSError as error:
        raise SourceInvalid(f"{path}: {error.strerror or error}") from error
    except UnicodeError as error:
        raise SourceInvalid(_undecodable(path, mapping, error)) from error
    return SourceFile(path, mapping, header, rows)


@contextmanager
def _unpacked(path: Path) -> Generator[BinaryIO]:
    if path.is_fifo() or path.is_char_device():
        raise SourceInvalid(
            f"{path} can be read only once: give a file, which is checked before it is imported"
        )
    with path.open("rb") as file:
        start = file.read(len(_XZ))
        file.seek(0)
        if not start:
            raise SourceInvalid(f"{path} is empty")
        for magic, name in _OTHER_PACKINGS.items():
            if start.startswith(magic):
                raise SourceInvalid(
                    f"{path} is packed with {name}: unpack it first, or pack it with gzip or xz"
                )
        if start.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast("BinaryIO", unpacked)
        elif start.startswith(_XZ):
            with lzma.LZMAFile(file) as unpacked:
                yield cast("BinaryIO", unpacked)
        else:
            yield file


@contextmanager
def _opened(path: Path, mapping: Mapping) -> Generator[TextIOWrapper]:
    # A mark of the byte order, as some programs write it before UTF-8, is no part of the first column's name.
    encoding = "utf-8-sig" if mapping.encoding == "utf-8" else mapping.encoding
    with _unpacked(path) as binary, TextIOWrapper(binary, encoding, errors="strict", newline="") as lines:
        yield lines


def _reader(lines: TextIOWrapper, mapping: Mapping) -> _Reader:
    csv.field_size_limit(FIELD_CHARACTERS_MAX)
    return csv.reader(lines, delimiter=mapping.delimiter, strict=True)


def _header(path: Path, reader: _Reader) -> tuple[str, ...]:
    try:
        header = tuple(name.strip() for name in next(reader))
    except (StopIteration, csv.Error) as error:
        raise SourceInvalid(f"{path}: the first line names no columns: {error}") from error
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise SourceInvalid(f"{path}: columns named more than once: {', '.join(twice)}")
    return header


def _check_columns(path: Path, header: Sequence[str], mapping: Mapping) -> None:
    missing = [
        f"{column!r} (for {name})"
        for name, source in mapping.columns.named()
        for column in source.names
        if column not in header
    ]
    if missing:
        there = ", ".join(header)
        raise SourceInvalid(f"{path}: columns are missing: {', '.join(missing)}. The file has: {there}")


def _records(reader: _Reader, width: int) -> Iterator[Record]:
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(line, (), f"no CSV: {error}{_extent(line, reader.line_num)}")
            continue
        if len(values) == width:
            yield Record(line, values)
        elif values:
            extent = _extent(line, reader.line_num)
            yield Record(line, (), f"has {len(values)} columns, the header has {width}{extent}")


def _extent(first: int, last: int) -> str:
    return f"; the record reaches to line {last}, a quote may be missing" if last > first else ""


def _undecodable(path: Path, mapping: Mapping, error: UnicodeError) -> str:
    place = ""
    with _unpacked(path) as binary:
        for line, raw in enumerate(binary, 1):
            try:
                raw.decode(mapping.encoding)
            except UnicodeError:
                place = f"line {line}: "
                break
    return f"{path}: {place}not {mapping.encoding}: {error}. Name its encoding in the mapping (`encoding`)"
