"""The locks are complete: packages are installed from them alone, and nothing is resolved."""

import re
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def wanted_in(source: Path) -> Iterator[Requirement]:
    """What a list of packages asks for, and the lists that it builds on."""
    for line in source.read_text().splitlines():
        if line.startswith("-r "):
            yield from wanted_in(source.parent / line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            yield Requirement(line)


def needed_by(requirement: Requirement) -> Iterator[Requirement]:
    """What a package needs here, with the extras that are asked of it."""
    for each in map(Requirement, requires(requirement.name) or ()):
        extras = ("", *requirement.extras)
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras):
            yield each


@pytest.mark.parametrize("name", ["requirements", "requirements-service", "requirements-dev"])
def test_a_lock_has_all_that_its_packages_need(name: str) -> None:
    locked = {
        canonicalize_name(each): version
        for each, version in re.findall(r"(?m)^([\w.-]+)==([^ ;]+)", (ROOT / f"{name}.lock").read_text())
    }
    todo, seen = list(wanted_in(ROOT / f"{name}.in")), set[str]()
    while todo:
        requirement = todo.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        assert canonicalize_name(requirement.name) in locked, f"{requirement} is not in {name}.lock"
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)], prereleases=True)
        todo.extend(needed_by(requirement))
    assert len(seen) >= len(locked) / 2, "most of a lock is needed by something"
