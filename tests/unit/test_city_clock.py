"""Time limits are elapsed time, whatever the clocks on the wall do meanwhile."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from libs.events.calendar import Limit
from libs.events.policy import RuleBook, load

BOOK = load(Path(__file__).parents[2] / "policy" / "example")
VIENNA = BOOK.model_copy(
    update={"city": BOOK.city.model_copy(update={"time_zone": "Europe/Vienna", "time_lapse": 1})}
)


def _due_after(book: RuleBook, now: datetime) -> timedelta:
    due_at = book.deadline(Limit.parse("4 urgent hours"), now).due_at
    return due_at.astimezone(UTC) - now.astimezone(UTC)


def test_a_limit_across_the_end_of_summer_time_is_as_long_as_the_rule_says() -> None:
    before = datetime(
        2026, 10, 25, 0, 30, tzinfo=UTC
    )  # 02:30 in Vienna, half an hour before the clocks go back
    assert _due_after(VIENNA, VIENNA.local(before)) == timedelta(hours=4)


def test_local_times_are_ordered_by_the_moment_and_not_by_the_wall() -> None:
    first, second = datetime(2026, 10, 25, 0, 50, tzinfo=UTC), datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert VIENNA.local(first) < VIENNA.local(second)
    assert VIENNA.local(first).isoformat() == "2026-10-25T02:50:00+02:00"
    assert VIENNA.local(second).isoformat() == "2026-10-25T02:10:00+01:00"


def test_an_exercise_shortens_limits() -> None:
    assert _due_after(BOOK, datetime(2026, 11, 22, tzinfo=UTC)) == timedelta(hours=4) / BOOK.city.time_lapse
