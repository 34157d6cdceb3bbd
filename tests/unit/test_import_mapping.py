"""A mapping is checked as a whole, and says file, place and reason when it is wrong."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.importing.errors import MappingInvalid
from cli.importing.mapping import Columns, Mapping, Text, load
from cli.stack.state import repository

MAPPINGS = sorted((repository() / "mappings").glob("*.yaml"))


def valid() -> dict[str, Any]:
    columns = {"key": "id", "reported_at": "opened", "category": "type", "channel": {"constant": "hotline"}}
    return {"system": "my-city", "time_zone": "Europe/Vienna", "columns": columns}


def problem(folder: Path, content: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(MappingInvalid) as caught:
        load(path)
    text = str(caught.value)
    assert str(path) in text
    return text.replace(str(path), "FILE")


@pytest.mark.parametrize("path", MAPPINGS, ids=lambda path: path.stem)
def test_what_is_shipped_is_valid(path: Path) -> None:
    assert load(path).system


def test_the_guide_names_every_key_and_its_skeleton_is_valid(tmp_path: Path) -> None:
    guide = (repository() / "docs" / "import.md").read_text(encoding="utf-8")
    for key in (*Mapping.model_fields, *Columns.model_fields, *Text.model_fields):
        assert re.search(rf"`{key}`|\b{key}:", guide), f"the guide does not say what {key} is"
    path = tmp_path / "mine.yaml"
    path.write_text(guide.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    assert load(path).system == "my-city"


def test_the_least_that_a_mapping_says(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(valid()), encoding="utf-8")
    mapping = load(path)
    assert (mapping.encoding, mapping.delimiter, mapping.time_formats) == ("utf-8", ",", ("iso",))
    assert dict(mapping.columns.named()).keys() == {"key", "reported_at", "category", "channel"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"time_zone": "Boston"}, "FILE: time_zone: no such time zone: 'Boston'"),
        ({"time_zone": "/etc/passwd"}, "FILE: time_zone: no such time zone"),
        ({"encoding": "utf-9"}, "FILE: encoding: no such encoding of text: 'utf-9'"),
        ({"encoding": "base64"}, "FILE: encoding: no such encoding of text: 'base64'"),
        ({"delimiter": "||"}, "FILE: delimiter:"),
        ({"delimiter": '"'}, "FILE: delimiter: a quote or the end of a line cannot separate columns"),
        ({"system": "My City"}, "FILE: system: must be of small letters, digits and -"),
        ({"sytem": "x"}, "FILE: sytem: is no key of a mapping"),
        ({"time_formats": ["%H:%M"]}, "FILE: time_formats: '%H:%M' does not say the whole date"),
        ({"time_formats": ["%Y-%m-%d %Q"]}, "FILE: time_formats: '%Y-%m-%d %Q' is no time format"),
        ({"time_formats": ["%Y-%m-%d %H:%M %Z"]}, "%Z names no zone for certain"),
        ({"time_formats": []}, "FILE: time_formats:"),
        (
            {"ambiguous_times": "sooner"},
            "FILE: ambiguous_times: Input should be 'earlier', 'later' or 'reject'",
        ),
        ({"blank": [0]}, "FILE: blank.0: must be text: put it in quotes (YAML reads it as 0)"),
        ({"drop": ["opened"]}, "columns.reported_at reads 'opened', which stands under `drop`"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    assert expected in problem(tmp_path, valid() | changes)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"colum": "x"}, "FILE: columns.category.colum: is no key of a mapping"),
        ({}, "FILE: columns.category: give exactly one of `column`, `columns` and `constant`"),
        ({"column": "a", "constant": "b"}, "FILE: columns.category: give exactly one of"),
        ({"constant": "b", "default": "c"}, "FILE: columns.category: a constant has no `values`"),
        ({"column": "a", "unknown": "reject"}, "FILE: columns.category: `unknown` needs `values`"),
        ({"column": "a", "values": {"x": "y"}, "unknown": "default"}, "`unknown: default` needs a `default`"),
        (
            {"column": "a", "values": {False: "no"}},
            "values.0: must be text: put it in quotes (YAML reads it as False)",
        ),
        ({"column": "a", "values": {"x": 7}}, "FILE: columns.category.values.x: must be text"),
        (7, "FILE: columns.category:"),
    ],
)
def test_a_wrong_column_is_named(tmp_path: Path, column: object, expected: str) -> None:
    content = valid()
    content["columns"]["category"] = column
    assert expected in problem(tmp_path, content)


@pytest.mark.parametrize("name", ["key", "reported_at", "category", "channel"])
def test_what_every_case_needs_must_be_mapped(tmp_path: Path, name: str) -> None:
    content = valid()
    del content["columns"][name]
    assert f"FILE: columns.{name}: is missing" in problem(tmp_path, content)


def test_times_and_numbers_take_no_table(tmp_path: Path) -> None:
    content = valid()
    content["columns"]["due_at"] = {"column": "due", "default": "2011-01-01"}
    assert "FILE: columns.due_at.default: is no key of a mapping" in problem(tmp_path, content)


def test_a_key_written_twice_is_refused(tmp_path: Path) -> None:
    assert "'system' stands twice" in problem(tmp_path, "system: a\nsystem: b\n")


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "just words\n"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    assert "FILE: must hold keys and values" in problem(tmp_path, content)


def test_broken_yaml_says_the_line(tmp_path: Path) -> None:
    assert "line 2" in problem(tmp_path, "system: a\n  time_zone: [\n")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingInvalid, match=r"none\.yaml: No such file"):
        load(tmp_path / "none.yaml")
