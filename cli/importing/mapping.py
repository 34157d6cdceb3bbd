"""What the columns of a city's file mean: the mapping, a YAML file checked as a whole."""

import codecs
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from cli.importing.errors import MappingInvalid

ISO: Final = "iso"
"""The name of the time format ISO 8601."""
_SAMPLE_TIME: Final = datetime(2001, 12, 23, 4, 56, tzinfo=UTC)

Names = Annotated[tuple[str, ...], Field(strict=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Source(_Model):
    """Where a value comes from: one column, or several joined in their order."""

    column: str | None = None
    columns: Names = ()
    separator: str = " "
    """Stands between the values of several columns; blank ones are left out."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.column,) if self.column is not None else self.columns

    @model_validator(mode="after")
    def _one_source(self) -> "Source":
        if (self.column is None) == (not self.columns):
            raise ValueError("give either `column` or `columns`")
        return self


class Text(_Model):
    """A text: from columns or constant, through a table of values."""

    column: str | None = None
    columns: Names = ()
    separator: str = " "
    constant: str | None = Field(default=None, min_length=1)
    """The same for every row, whatever the file says."""
    values: dict[str, str] = Field(default_factory=dict)
    """What the file's values are called here."""
    unknown: Literal["keep", "reject", "default"] = "keep"
    """What becomes of a value that is not in the table."""
    default: str | None = Field(default=None, min_length=1)
    """Stands for a blank."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read; none for a constant."""
        return (self.column,) if self.column is not None else self.columns

    @model_validator(mode="after")
    def _consistent(self) -> "Text":
        if sum((self.column is not None, bool(self.columns), self.constant is not None)) != 1:
            raise ValueError("give exactly one of `column`, `columns` and `constant`")
        if self.constant is not None and (self.values or self.default is not None):
            raise ValueError("a constant has no `values` and no `default`")
        if self.unknown != "keep" and not self.values:
            raise ValueError("`unknown` needs `values`, the table of those that are known")
        if self.unknown == "default" and self.default is None:
            raise ValueError("`unknown: default` needs a `default`")
        return self


def _short(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


Time = Annotated[Source, BeforeValidator(_short)]
Number = Annotated[Source, BeforeValidator(_short)]
Words = Annotated[Text, BeforeValidator(_short)]


class Columns(_Model):
    """Which columns hold what.  Columns that nothing names are not read."""

    key: Time
    """The row's own number in the other system: the same key is the same case, whenever it is imported."""
    reported_at: Time
    category: Words
    channel: Words
    department: Words | None = None
    """Who was responsible; a row where it is blank was assigned to nobody."""
    due_at: Time | None = None
    closed_at: Time | None = None
    """When the case was over; a row where it is blank is still open."""
    description: Words | None = None
    closing_note: Words | None = None
    address: Words | None = None
    street: Words | None = None
    community: Words | None = None
    longitude: Number | None = None
    latitude: Number | None = None

    def named(self) -> Iterator[tuple[str, Source | Text]]:
        """What is mapped, by its name here, in order."""
        for name in type(self).model_fields:
            source = getattr(self, name)
            if source is not None:
                yield name, source


class Mapping(_Model):
    """The meaning of one source's files."""

    system: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Name of the source.  Never change it once it was imported: it is part of every case's identity."""
    time_zone: str
    """IANA name of the zone in which people there read a clock."""
    encoding: str = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    time_formats: Names = Field(default=(ISO,), min_length=1)
    """`iso`, or patterns of strptime; the first that fits is taken."""
    ambiguous_times: Literal["earlier", "later", "reject"] = "earlier"
    """Which of the two is meant when the clock was put back."""
    nonexistent_times: Literal["shift", "reject"] = "shift"
    """What to do with a time that the clock left out: shift by the gap, or reject the row."""
    blank: Names = ()
    """Values that mean nothing, beside the empty one."""
    drop: Names = ()
    """Columns that must never be read, since they name or describe a person."""
    columns: Columns

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the place."""
        return ZoneInfo(self.time_zone)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"no such time zone: {value!r}; use a name like Europe/Vienna") from error
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "x".encode(value)
            return codecs.lookup(value).name
        except (LookupError, UnicodeError) as error:
            raise ValueError(f"no such encoding of text: {value!r}") from error

    @field_validator("delimiter")
    @classmethod
    def _usable_delimiter(cls, value: str) -> str:
        if value in '"\r\n':
            raise ValueError("a quote or the end of a line cannot separate columns")
        return value

    @field_validator("time_formats")
    @classmethod
    def _usable_formats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            _check_format(each)
        return value

    @model_validator(mode="after")
    def _drops_what_it_says(self) -> "Mapping":
        for name, source in self.columns.named():
            for column in source.names:
                if column in self.drop:
                    raise ValueError(f"columns.{name} reads {column!r}, which stands under `drop`")
        return self


def _check_format(pattern: str) -> None:
    if pattern == ISO:
        return
    if re.search(r"(?<!%)(?:%%)*%Z", pattern):
        raise ValueError(f"{pattern!r}: %Z names no zone for certain; use %z, or leave it out for local time")
    try:
        again = datetime.strptime(_SAMPLE_TIME.strftime(pattern), pattern)  # noqa: DTZ007 - only the date counts
    except ValueError as error:
        raise ValueError(f"{pattern!r} is no time format: {error}") from error
    if again.date() != _SAMPLE_TIME.date():
        raise ValueError(f"{pattern!r} does not say the whole date: year, month and day")


def load(path: Path) -> Mapping:
    """The mapping in *path*.  Raises MappingInvalid with the file, the key in it and the reason."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise MappingInvalid(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MappingInvalid(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise MappingInvalid(f"{path}: must hold keys and values, such as `system: my-city`")
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise MappingInvalid("\n".join(_explained(path, error))) from error


def _explained(path: Path, error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False):
        key = ".".join(str(part) for part in each["loc"] if part != "[key]") or "the mapping"
        reason = {
            "missing": "is missing",
            "extra_forbidden": "is no key of a mapping",
            "string_type": f"must be text: put it in quotes (YAML reads it as {each['input']!r})",
            "string_pattern_mismatch": "must be of small letters, digits and -",
        }.get(each["type"], each["msg"].removeprefix("Value error, "))
        yield f"{path}: {key}: {reason}"


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key written twice, of which YAML would quietly keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)
