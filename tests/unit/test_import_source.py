"""The file is read from beginning to end before anything is written; what is wrong with it is one clear message."""

import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.importing.errors import SourceInvalid
from cli.importing.mapping import Mapping
from cli.importing.source import FIELD_CHARACTERS_MAX, preflight

CONTENT = 'id,opened,type\n1,2020-01-01,lamp\n2,2020-01-02,"two\nlines"\n\n3,2020-01-03,litter\n'


def mapping(**changes: object) -> Mapping:
    columns = {"key": "id", "reported_at": "opened", "category": "type", "channel": {"constant": "app"}}
    return Mapping.model_validate({"system": "s", "time_zone": "UTC", "columns": columns, **changes})


def stored(folder: Path, content: str | bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress], ids=["plain", "gz", "xz"])
def test_any_packing_is_known_by_its_content(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    source = preflight(stored(tmp_path, pack(CONTENT.encode())), mapping())
    assert source.rows == 3
    assert [(record.line, record.values[2]) for record in source.records()] == [
        (2, "lamp"),
        (3, "two\nlines"),
        (6, "litter"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "cp1252"])
def test_any_encoding_can_be_named(tmp_path: Path, encoding: str) -> None:
    path = stored(tmp_path, CONTENT.replace("lamp", "Müll").encode(encoding))
    assert next(preflight(path, mapping(encoding=encoding)).records()).values[2] == "Müll"


def test_a_mark_before_utf_8_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert preflight(stored(tmp_path, "\ufeff" + CONTENT), mapping()).header[0] == "id"


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_any_end_of_line_counts(tmp_path: Path, ending: str) -> None:
    path = stored(tmp_path, f"id,opened,type{ending}1,2020-01-01,lamp{ending}2,2020-01-02,litter{ending}")
    assert [record.line for record in preflight(path, mapping()).records()] == [2, 3]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n", "'id' (for key)"),
        (b"id,type\n", "columns are missing: 'opened' (for reported_at). The file has: id, type"),
        (b"id,opened,type,id\n", "columns named more than once: id"),
        (b"id,opened,type\n1,2,3\n4,5,M\xfcll\n", "line 3: not utf-8"),
        (gzip.compress(CONTENT.encode(), mtime=0)[:-12], "the archive is broken"),
        (lzma.compress(CONTENT.encode())[:-12], "the archive is broken"),
        (gzip.compress(CONTENT.encode(), mtime=0)[:30] + b"x" * 30, "the archive is broken"),
        (lzma.compress(CONTENT.encode())[:40] + b"x" * 30, "the archive is broken"),
        (b"PK\x03\x04rest", "is packed with zip: unpack it first"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = stored(tmp_path, content)
    with pytest.raises(SourceInvalid) as caught:
        preflight(path, mapping())
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceInvalid, match=r"none\.csv: No such file"):
        preflight(tmp_path / "none.csv", mapping())
    with pytest.raises(SourceInvalid, match="Is a directory"):
        preflight(tmp_path, mapping())


def test_what_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceInvalid, match="can be read only once"):
        preflight(tmp_path / "pipe", mapping())


def test_broken_records_are_named_and_the_others_read(tmp_path: Path) -> None:
    content = (
        'id,opened,type\n1,2020-01-01\n2,2020-01-01,"a"b\n3,2020-01-01,lamp\n4,2020-01-01,"never\nclosed\n'
    )
    records = list(preflight(stored(tmp_path, content), mapping()).records())
    assert [(record.line, record.problem is None) for record in records] == [
        (2, False),
        (3, False),
        (4, True),
        (5, False),
    ]
    assert records[0].problem == "has 2 columns, the header has 3"
    assert "the record reaches to line 6, a quote may be missing" in (records[3].problem or "")


def test_one_stray_quote_does_not_eat_the_whole_file(tmp_path: Path) -> None:
    rest = "2,2020-01-01,lamp\n" * (2 * FIELD_CHARACTERS_MAX // 18)
    records = list(
        preflight(stored(tmp_path, f'id,opened,type\n1,2020-01-01,"x\n{rest}'), mapping()).records()
    )
    assert records[0].problem is not None
    assert "field larger than field limit" in records[0].problem
    assert sum(record.problem is None for record in records) > FIELD_CHARACTERS_MAX // 18 - 10
