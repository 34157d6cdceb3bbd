"""Which process of a rebuild applies which case, and how many there are."""

import os
from collections import Counter
from pathlib import Path

import pytest

from libs.events.ids import case_id_of_import
from libs.events.rebuild_parts import PARTS_MAX, Part, cores


def subject(number: int, event: str) -> bytes:
    return f"case.{case_id_of_import('x', str(number))}.{event}".encode()


@pytest.mark.parametrize("of", range(1, PARTS_MAX + 1))
def test_each_case_has_one_part_whatever_its_event_and_each_part_its_share(of: int) -> None:
    parts = [Part(number, of) for number in range(of)]
    owners: Counter[int] = Counter()
    for number in range(1_000):
        [first] = [part for part in parts if part.has(subject(number, "reported.1"))]
        [last] = [part for part in parts if part.has(subject(number, "assigned.3.water"))]
        assert first == last
        owners[first.number] += 1
    assert min(owners.values()) > 1_000 / of / 2


def test_a_part_is_written_as_it_is_read() -> None:
    assert Part.parse("1/2") == Part(1, 2)
    assert str(Part(1, 2)) == "1/2"


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "0/0", f"0/{PARTS_MAX + 1}", "a/b"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Part.parse(text)


@pytest.mark.parametrize(
    ("content", "expected"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", 0), ("nonsense", 0)]
)
def test_a_container_gets_no_more_processes_than_processor_time(
    tmp_path: Path, content: str, expected: int
) -> None:
    limit = tmp_path / "cpu.max"
    assert cores(limit) == len(os.sched_getaffinity(0))
    limit.write_text(content)
    assert cores(limit) == (expected or len(os.sched_getaffinity(0)))
