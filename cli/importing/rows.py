"""A record of the file, read by its mapping: either a row with typed values or a reject with its reason."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from cli.importing.mapping import Source, Text
from cli.importing.source import Record, SourceFile
from cli.importing.times import Clock
from libs.events.contracts.base import Place
from libs.events.ids import case_id_of_import
from libs.events.masking import masked

TEXT_CHARACTERS_MAX: Final = (
    16_000  # all texts of a row together stay far below what the log takes in one event
)
VALUE_SHOWN_CHARACTERS_MAX: Final = 200
LONGITUDE_DEGREES_MAX: Final = 180.0
LATITUDE_DEGREES_MAX: Final = 90.0


class Row(NamedTuple):
    """What one record of the file states."""

    line: int
    key: str
    case_id: str
    reported_at: datetime
    due_at: datetime | None
    closed_at: datetime | None
    category: str
    channel: str
    department: str | None
    description: str
    closing_note: str
    place: Place


class Reject(NamedTuple):
    """A record that cannot be taken."""

    line: int
    column: str
    """The column of the file at fault; empty when it is the record as a whole."""
    value: str
    reason: str


class _CellRejected(Exception):
    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.value = value[:VALUE_SHOWN_CHARACTERS_MAX]
        self.reason = reason


_Cell = Callable[[Sequence[str]], str | None]


class RowReader:
    """Reads the records of one file."""

    def __init__(self, source: SourceFile) -> None:
        self._mapping = source.mapping
        self._header = source.header
        self._blank = frozenset({"", *source.mapping.blank})
        self._clock = Clock(source.mapping)
        self._cells = {name: self._cell(each) for name, each in source.mapping.columns.named()}
        self._labels = {name: self.column_of(name) for name in type(source.mapping.columns).model_fields}

    def column_of(self, name: str) -> str:
        """The file's column (or columns) behind a name of the mapping; empty when nothing is read for it."""
        source: Source | Text | None = getattr(self._mapping.columns, name)
        return " + ".join(source.names) if source else ""

    def read(self, record: Record) -> Row | Reject:
        """What the record states, or why it cannot be taken."""
        if record.problem is not None:
            return Reject(record.line, "", "", record.problem)
        try:
            return self._row(record.line, record.values)
        except _CellRejected as rejected:
            return Reject(record.line, rejected.column, rejected.value, rejected.reason)

    def _row(self, line: int, values: Sequence[str]) -> Row:
        key = self._required("key", values)
        department, due_at = self._text("department", values), self._time("due_at", values)
        if due_at is not None and department is None:
            reason = "is blank although there is a due time; give a `default` to take such rows"
            raise _CellRejected(self._labels["department"], "", reason)
        reported_at = self._time("reported_at", values)
        if reported_at is None:
            raise _CellRejected(self._labels["reported_at"], "", "is blank")
        return Row(
            line=line,
            key=key,
            case_id=case_id_of_import(self._mapping.system, key),
            reported_at=reported_at,
            due_at=due_at,
            closed_at=self._time("closed_at", values),
            category=self._required("category", values),
            channel=self._required("channel", values),
            department=department,
            description=masked(self._text("description", values) or ""),
            closing_note=masked(self._text("closing_note", values) or ""),
            place=self._place(values),
        )

    def _place(self, values: Sequence[str]) -> Place:
        address = self._text("address", values)
        return Place(
            time_zone=self._mapping.time_zone,
            address=address and masked(address),
            street=self._text("street", values),
            community=self._text("community", values),
            longitude=self._degrees("longitude", values, LONGITUDE_DEGREES_MAX),
            latitude=self._degrees("latitude", values, LATITUDE_DEGREES_MAX),
        )

    def _text(self, name: str, values: Sequence[str]) -> str | None:
        cell = self._cells.get(name)
        return cell(values) if cell else None

    def _required(self, name: str, values: Sequence[str]) -> str:
        text = self._cells[name](values)
        if text is None:
            raise _CellRejected(self._labels[name], "", "is blank")
        return text

    def _time(self, name: str, values: Sequence[str]) -> datetime | None:
        text = self._text(name, values)
        if text is None:
            return None
        try:
            return self._clock.read(text)
        except (ValueError, OverflowError) as error:
            raise _CellRejected(self._labels[name], text, str(error)) from error

    def _degrees(self, name: str, values: Sequence[str], degrees_max: float) -> float | None:
        text = self._text(name, values)
        if text is None:
            return None
        try:
            degrees = float(text)
        except ValueError as error:
            raise _CellRejected(self._labels[name], text, "is no number of degrees") from error
        if not -degrees_max <= degrees <= degrees_max:  # false for 'nan', too
            raise _CellRejected(self._labels[name], text, f"is not within {degrees_max:g} degrees")
        return degrees

    def _cell(self, source: Source | Text) -> _Cell:
        if isinstance(source, Text) and source.constant is not None:
            constant = source.constant
            return lambda _: constant
        plain = self._one(source.names[0]) if len(source.names) == 1 else self._joined(source)
        if isinstance(source, Text) and (source.values or source.default is not None):
            return self._translated(source, plain)
        return plain

    def _one(self, column: str) -> _Cell:
        index, blank = self._header.index(column), self._blank

        def read(values: Sequence[str]) -> str | None:
            text = values[index].strip()
            if text in blank:
                return None
            if len(text) > TEXT_CHARACTERS_MAX:
                raise _CellRejected(column, text, f"is longer than {TEXT_CHARACTERS_MAX:,} characters")
            if "\0" in text:
                raise _CellRejected(column, text.replace("\0", "\\0"), "holds a NUL character")
            return text

        return read

    def _joined(self, source: Source | Text) -> _Cell:
        cells, label = [self._one(name) for name in source.names], " + ".join(source.names)

        def read(values: Sequence[str]) -> str | None:
            text = source.separator.join(filter(None, (cell(values) for cell in cells)))
            if len(text) > TEXT_CHARACTERS_MAX:
                raise _CellRejected(label, text, f"is longer than {TEXT_CHARACTERS_MAX:,} characters")
            return text or None

        return read

    def _translated(self, source: Text, plain: _Cell) -> _Cell:
        label, table, default = " + ".join(source.names), source.values, source.default

        def read(values: Sequence[str]) -> str | None:
            text = plain(values)
            if text is None:
                return default
            if (known := table.get(text)) is not None:
                return known
            if table and source.unknown == "reject":
                raise _CellRejected(label, text, "is not in the mapping's table of values")
            return default if table and source.unknown == "default" else text

        return read
