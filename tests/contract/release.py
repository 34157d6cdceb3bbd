"""Puts the contracts of a release into `docs/contracts/released/`, from when on nothing may break them.

python -m tests.contract.release

Refuses, and writes nothing, when a contract breaks what was released before.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.contract.compatibility import breaks
from tests.contract.direction import Direction
from tests.contract.published import FOLDER, directions, schemas, text_of

RELEASED: Final = FOLDER / "released"


def released(folder: Path = RELEASED) -> dict[str, dict[str, Any]]:
    """The contracts as they were released, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def broken(
    before: Mapping[str, Mapping[str, Any]],
    now: Mapping[str, Mapping[str, Any]],
    by: Mapping[str, Direction],
) -> list[str]:
    """What the contracts of now break of those that were released."""
    found: list[str] = []
    for name, old in before.items():
        if name not in now:
            found.append(f"{name}: removed, and somebody's log or program still has it")
        else:
            found.extend(f"{name}: {each}" for each in breaks(old, now[name], by[name]))
    return found


def main() -> int:
    """Check, then write; returns the exit code."""
    now = schemas()
    wrong = broken(released(), now, directions())
    if wrong:
        print("\n".join(wrong), file=sys.stderr)  # noqa: T201 - it is a command
        return 1
    RELEASED.mkdir(parents=True, exist_ok=True)
    for name, schema in now.items():
        (RELEASED / f"{name}.json").write_text(text_of(schema), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
