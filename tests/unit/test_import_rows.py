"""A record, read by its mapping: typed values, or a reject that names line, column, value and reason."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.importing.mapping import Mapping, load
from cli.importing.rejects import Rejects
from cli.importing.rows import TEXT_CHARACTERS_MAX, Reject, Row, RowReader
from cli.importing.source import Record, SourceFile, preflight
from cli.importing.times import Clock
from cli.stack.state import repository

DATA = Path(__file__).parents[1] / "data"
COLUMNS = ("id", "opened", "closed", "type", "extra", "lon", "lat")
MAPPED: dict[str, Any] = {
    "key": "id",
    "reported_at": "opened",
    "closed_at": "closed",
    "category": "type",
    "channel": {"constant": "app"},
    "description": "extra",
    "longitude": "lon",
    "latitude": "lat",
}


def mapping(columns: dict[str, Any] | None = None, **changes: Any) -> Mapping:
    content = {"system": "s", "time_zone": "America/New_York", "columns": MAPPED | (columns or {}), **changes}
    return Mapping.model_validate(content)


def read(mapping: Mapping, **values: str) -> Row | Reject:
    cells = {"id": "7", "opened": "2011-07-01 01:32:33", "type": "lamp"} | values
    source = SourceFile(Path("file.csv"), mapping, COLUMNS, 1)
    return RowReader(source).read(Record(5, [cells.get(name, "") for name in COLUMNS]))


def row(mapping: Mapping, **values: str) -> Row:
    found = read(mapping, **values)
    assert isinstance(found, Row), found
    return found


def reject(mapping: Mapping, **values: str) -> Reject:
    found = read(mapping, **values)
    assert isinstance(found, Reject), found
    assert found.line == 5
    return found


def time(text: str, **changes: Any) -> str:
    return Clock(mapping(**changes)).read(text).isoformat()


def test_numbers_of_people_in_texts_are_masked() -> None:
    columns = {"closing_note": "extra", "address": "extra"}
    found = row(mapping(columns), extra="call 138 0013 8000")
    assert {found.description, found.closing_note, found.place.address} == {"call ***"}


def test_local_times_carry_the_offset_of_the_place() -> None:
    assert time("2011-07-01 01:32:33") == "2011-07-01T01:32:33-04:00"
    assert time("2011-12-01") == "2011-12-01T00:00:00-05:00"


def test_a_time_with_an_offset_is_that_moment() -> None:
    assert time("2011-07-01T05:32:33Z") == "2011-07-01T01:32:33-04:00"
    assert time("2011-11-06T01:30:00-05:00") == "2011-11-06T01:30:00-05:00"


def test_a_time_that_the_clock_showed_twice() -> None:
    assert time("2011-11-06 01:30:00") == "2011-11-06T01:30:00-04:00"
    assert time("2011-11-06 01:30:00", ambiguous_times="later") == "2011-11-06T01:30:00-05:00"
    with pytest.raises(ValueError, match="showed twice"):
        time("2011-11-06 01:30:00", ambiguous_times="reject")
    assert time("2011-11-06 02:00:00", ambiguous_times="reject") == "2011-11-06T02:00:00-05:00"


def test_a_time_that_the_clock_left_out() -> None:
    assert time("2011-03-13 02:30:00") == "2011-03-13T03:30:00-04:00"
    with pytest.raises(ValueError, match="left out"):
        time("2011-03-13 02:30:00", nonexistent_times="reject")


def test_times_of_one_zone_compare_as_moments() -> None:
    """With a zone in them, Python would compare wall clocks, and find this pair unequal to what the log gives back."""
    earlier = Clock(mapping()).read("2011-11-06 01:50:00")
    later = Clock(mapping(ambiguous_times="later")).read("2011-11-06 01:10:00")
    assert earlier < later
    assert earlier == datetime(2011, 11, 6, 5, 50, tzinfo=UTC)


def test_the_first_format_that_fits_is_taken() -> None:
    formats = ["%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y", "iso"]
    assert time("07/01/2011 01:32:33 PM", time_formats=formats) == "2011-07-01T13:32:33-04:00"
    assert time("07/01/2011", time_formats=formats) == "2011-07-01T00:00:00-04:00"
    assert time("2011-07-01", time_formats=formats) == "2011-07-01T00:00:00-04:00"


@pytest.mark.parametrize(
    "text", ["yesterday", "1900-01-01", "9999-12-31 23:59:59", "2011-13-01", "0001-01-01"]
)
def test_what_is_no_time_is_rejected(text: str) -> None:
    found = reject(mapping(), closed=text)
    assert (found.column, found.value) == ("closed", text)


def test_blanks_mean_nothing() -> None:
    assert row(mapping(), closed="  ").closed_at is None
    assert row(mapping(blank=["NULL", "-"]), closed="NULL", extra=" - ").description == ""
    assert reject(mapping(blank=["NULL"]), type="NULL") == Reject(5, "type", "", "is blank")
    assert reject(mapping(), id=" ").column == "id"
    assert reject(mapping(), opened="").reason == "is blank"


def test_a_table_of_values() -> None:
    table = {"column": "type", "values": {"L": "lamp", "M": "litter"}}
    keep, unknown = (
        mapping({"category": table}),
        {"values": table["values"], "column": "type", "default": "other"},
    )
    assert row(keep, type="L").category == "lamp"
    assert row(keep, type="X").category == "X"
    assert reject(keep, type="").reason == "is blank"
    rejecting = mapping({"category": unknown | {"unknown": "reject"}})
    assert reject(rejecting, type="X") == Reject(5, "type", "X", "is not in the mapping's table of values")
    assert row(rejecting, type="").category == "other"
    assert row(mapping({"category": unknown | {"unknown": "default"}}), type="X").category == "other"


def test_columns_are_joined_without_their_blanks() -> None:
    joined = mapping({"description": {"columns": ["type", "extra", "id"], "separator": " / "}})
    assert row(joined, type="lamp", extra=" ").description == "lamp / 7"


@pytest.mark.parametrize("text", ["north", "181", "nan", "-inf"])
def test_what_is_no_place_on_earth_is_rejected(text: str) -> None:
    assert reject(mapping(), lon=text).column == "lon"
    assert reject(mapping(), lat=text).column == "lat"


def test_what_a_database_cannot_hold_is_rejected() -> None:
    assert reject(mapping(), extra="a\0b").reason == "holds a NUL character"
    long = reject(mapping(), extra="x" * (TEXT_CHARACTERS_MAX + 1))
    assert long.reason == "is longer than 16,000 characters"
    assert len(long.value) == 200


def test_a_due_time_needs_somebody_who_is_responsible() -> None:
    due = {"due_at": "closed", "department": "extra"}
    found = reject(mapping(due), closed="2011-07-02")
    assert (found.column, found.reason.split(";")[0]) == ("extra", "is blank although there is a due time")
    named = row(mapping(due | {"department": {"column": "extra", "default": "nobody"}}), closed="2011-07-02")
    assert named.department == "nobody"
    assert row(mapping(due), closed="").department is None


def test_every_means_of_a_mapping_at_once() -> None:
    mapping = load(repository() / "mappings" / "example.yaml")
    source = preflight(DATA / "import_example.csv", mapping)
    found = [RowReader(source).read(record) for record in source.records()]
    first, second, third = (each for each in found if isinstance(each, Row))
    assert (first.category, first.channel, first.department) == ("lamp", "hotline", "Straßenlicht")
    assert (first.description, first.closing_note) == ("Lampe defekt, Ecke Müllerweg", "Getauscht")
    assert (first.place.address, first.place.longitude) == ("Müllerweg 3", 16.37)
    assert (second.due_at, second.closed_at, second.department) == (None, None, "none named")
    assert (third.category, third.channel, third.place.community) == ("other", "other", "Musterbezirk")
    assert third.reported_at.isoformat() == "2022-10-30T02:30:00+01:00"
    assert third.due_at is not None
    assert third.due_at.isoformat() == "2022-11-01T11:00:00+01:00"


def test_rejects_are_written_only_when_there_are_some(tmp_path: Path) -> None:
    path = tmp_path / "file.csv.rejects.csv"
    with Rejects(path, DATA / "import_example.csv") as rejects:
        rejects.add(Reject(3, "type", 'a, "b"', "is not in the mapping's table of values"))
    content = path.read_text(encoding="utf-8").splitlines()
    assert content == [
        "line,column,value,reason",
        '3,type,"a, ""b""",is not in the mapping\'s table of values',
    ]
    with Rejects(path, DATA / "import_example.csv"):
        pass
    assert not path.exists(), "those of an earlier run would mislead"
