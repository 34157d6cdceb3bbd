"""Rows of our own making, in the format of `mappings/boston311.yaml`, at any size: for tests and the bench.

`python -m cli.importing.sample FILE [ROWS] [SEED]` writes such a file.
"""

import csv
import random
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

ROWS_DEFAULT: Final = 300
SEED_DEFAULT: Final = 311
HEADER: Final = (
    *("case_enquiry_id", "open_dt", "target_dt", "closed_dt", "ontime", "case_status", "closure_reason"),
    *("case_title", "subject", "reason", "type", "queue", "department", "submittedphoto", "closedphoto"),
    *("location", "fire_district", "pwd_district", "city_council_district", "police_district"),
    *("neighborhood", "neighborhood_services_district", "ward", "precinct", "location_street_name"),
    *("location_zipcode", "latitude", "longitude", "source"),
)
_FIRST_KEY: Final = 900_000_000_000
# The last hour of this day is shown twice by the clocks of Boston; no zone here, as in the city's own file.
_TWICE: Final = datetime(2011, 11, 6, 0, 30)  # noqa: DTZ001 - a wall clock is meant
_TYPES: Final = (
    ("Lamp out", "ROAD"),
    ("Hole in the road", "ROAD"),
    ("Missed collection", "WASTE"),
    ("Fallen branch", "PARKS"),
    ("Noise, at night", "No D"),
    ('Sign "one way" bent', "ROAD"),
)
_CHANNELS: Final = ("Call", "App", "Web", "Patrol")
_COMMUNITIES: Final = ("North End", "Old Harbour / Quays", "Hill", " ")
_STREETS: Final = ("Elm St", "Rue d'Été", "Quay Rd", "长安街", "Mill Lane")
_LIMITS_HOURS: Final = (4, 24, 72, 240)


def rows(count: int, seed: int = SEED_DEFAULT) -> Iterator[Sequence[str]]:
    """*count* made-up service requests, oldest first; the same for the same seed."""
    chance = random.Random(seed)
    opened = _TWICE - timedelta(minutes=2 * count)
    for number in range(count):
        opened += timedelta(seconds=chance.randint(1, 240))
        yield _row(chance, str(_FIRST_KEY + number), opened)


def write(path: Path, count: int, seed: int = SEED_DEFAULT) -> None:
    """A CSV file of made-up rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(rows(count, seed))


def _row(chance: random.Random, key: str, opened: datetime) -> Sequence[str]:
    kind, department = chance.choice(_TYPES)
    target = opened + timedelta(hours=chance.choice(_LIMITS_HOURS)) if chance.random() < 0.8 else None
    closed = opened + timedelta(minutes=chance.randint(70, 12_000)) if chance.random() < 0.9 else None
    street = chance.choice(_STREETS)
    address = f"{chance.randint(1, 99)} {street}"
    cells = {
        "case_enquiry_id": key,
        "open_dt": str(opened),
        "target_dt": str(target or ""),
        "closed_dt": str(closed or ""),
        "ontime": _verdict(target, closed),
        "case_status": "Closed" if closed else "Open",
        "closure_reason": "Done,\nas asked for" if closed and chance.random() < 0.1 else " ",
        "case_title": f"{kind} ({street})",
        "type": kind,
        "department": department,
        "location": address,
        "location_street_name": address,
        "neighborhood": chance.choice(_COMMUNITIES),
        "latitude": f"{42.3 + chance.random() / 10:.4f}",
        "longitude": f"{-71.1 + chance.random() / 10:.4f}",
        "source": chance.choice(_CHANNELS),
    }
    return [cells.get(column, "") for column in HEADER]


def _verdict(target: datetime | None, closed: datetime | None) -> str:
    if target is None or closed is None:
        return ""
    return "ONTIME" if closed <= target else "OVERDUE"


if __name__ == "__main__":
    write(Path(sys.argv[1]), *(int(number) for number in sys.argv[2:4] or [str(ROWS_DEFAULT)]))
