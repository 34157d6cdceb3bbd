"""Cases of our own making, in the shape in which an import writes them: five facts each, seeded."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cli.importing.facts import Contradiction, missing_facts
from cli.importing.rows import Row
from libs.events.contracts.base import Place
from libs.events.contracts.intake import CaseReported
from libs.events.envelope import Context
from libs.events.ids import case_id_of_import
from libs.events.log import Fact, History, facts_of

SYSTEM: Final = "bench"
ZONE: Final = ZoneInfo("America/New_York")
START: Final = datetime(2024, 1, 1, 8, 0, tzinfo=ZONE)
DEPARTMENTS: Final = ("streets", "water", "parks", "lighting", "inspection", "traffic")
CATEGORIES: Final = tuple(f"Request for {what}" for what in (
    "pothole repair", "missed collection", "street light repair", "tree pruning", "graffiti removal",
    "bulk item pickup", "new sign or crosswalk", "unsafe building inspection", "abandoned vehicle removal",
))  # fmt: skip
COMMUNITIES: Final = tuple(f"Quarter {number}" for number in range(1, 26))
CHANNELS: Final = ("Constituent Call", "Self Service", "Employee Generated", "Mobile App")


def rows(count: int, seed: int) -> Iterator[Row]:
    """Closed cases, all their own; another *seed* gives other cases."""
    choose = random.Random(seed)
    for number in range(count):
        key = f"{seed}-{number:07d}"
        reported_at = START + timedelta(seconds=choose.randrange(180 * 86_400))
        street = f"{choose.choice(('Oak', 'River', 'Market', 'Hill', 'Union'))} Street"
        category = choose.choice(CATEGORIES)
        yield Row(
            line=number + 2,
            key=key,
            case_id=case_id_of_import(SYSTEM, key),
            reported_at=reported_at,
            due_at=reported_at + timedelta(days=choose.choice((2, 7, 14, 30))),
            closed_at=reported_at + timedelta(seconds=choose.randrange(60, 20 * 86_400)),
            category=category,
            channel=choose.choice(CHANNELS),
            department=choose.choice(DEPARTMENTS),
            description=category,
            closing_note="Case closed. Case resolved. The crew has done the work and left the place clean.",
            place=Place(
                time_zone="America/New_York",
                address=f"{choose.randrange(1, 900)} {street}, corner of {street}",
                street=street,
                community=choose.choice(COMMUNITIES),
                longitude=round(choose.uniform(-71.19, -70.99), 4),
                latitude=round(choose.uniform(42.23, 42.39), 4),
            ),
        )


def imported(row: Row) -> tuple[Fact, ...]:
    """The facts that an import writes for *row*."""
    facts = missing_facts(row, History(row.case_id), SYSTEM)
    assert not isinstance(facts, Contradiction), "a case of our own making holds no contradiction"
    return facts


def reported(row: Row) -> tuple[Fact, ...]:
    """The one fact of a live report."""
    event = CaseReported(
        category=row.category, channel=row.channel, description=row.description, place=row.place
    )
    return facts_of([event], Context(actor="resident", time=datetime.now(UTC)))
