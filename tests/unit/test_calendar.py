"""Working time: dates worked out by hand, and the laws that hold for every date."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from libs.events.calendar import AMOUNT_MAX, WEEKDAYS, Calendar, Limit, Unit
from libs.events.policy.holidays_of import CalendarFile

CHINA = Calendar.model_validate(
    CalendarFile.model_validate(
        {
            "working_hours": ["08:30-12:00", "14:00-18:00"],
            "working_weekdays": WEEKDAYS[:5],
            "holidays": {"country": "CN", "years": [2024, 2027]},
        }
    ).resolved("Asia/Shanghai")
)
VIENNA = Calendar(
    time_zone="Europe/Vienna",
    working_hours=(
        "00:00-06:00",
        "08:00-16:00",
        "22:00-24:00",
    ),  # whoever works at night sees the clocks change
    working_weekdays=WEEKDAYS,
)
PLAIN = Calendar(
    time_zone="America/New_York", working_hours=("09:00-17:00",), working_weekdays=("mon", "wed", "fri")
)


def at(text: str, calendar: Calendar = CHINA) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=calendar.zone)


def shown(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="minutes")


# 2026-11-18 is a Wednesday. Spring Festival 2026: off 02-15 to 02-23, made up on Saturdays 02-14 and 02-28.
# National Day 2026: off 10-01 to 10-07, made up on Sunday 09-20 and Saturday 10-10.
DUE = [
    ("30 minutes", "2026-11-21 23:50", "2026-11-22 00:20"),
    ("2 urgent hours", "2026-11-21 23:00", "2026-11-22 01:00"),
    ("7 natural days", "2026-09-28 10:15", "2026-10-05 10:15"),
    # Working hours: within a day, over lunch, over the night, over the weekend.
    ("2 working hours", "2026-11-18 09:00", "2026-11-18 11:00"),
    ("2 working hours", "2026-11-18 11:00", "2026-11-18 15:00"),
    ("4 working hours", "2026-11-18 14:00", "2026-11-18 18:00"),
    ("4 working hours", "2026-11-18 16:30", "2026-11-19 11:00"),
    ("4 working hours", "2026-11-20 17:00", "2026-11-23 11:30"),
    # ... begun before the opening, in the lunch break, at closing, at night, on a Sunday.
    ("1 working hour", "2026-11-18 06:00", "2026-11-18 09:30"),
    ("1 working hour", "2026-11-18 12:30", "2026-11-18 15:00"),
    ("1 working hour", "2026-11-18 18:00", "2026-11-19 09:30"),
    ("1 working hour", "2026-11-18 23:00", "2026-11-19 09:30"),
    ("1 working hour", "2026-11-22 10:00", "2026-11-23 09:30"),
    ("15 working hours", "2026-11-18 08:30", "2026-11-19 18:00"),
    # Working days: the same time on the clock.
    ("1 working day", "2026-11-18 10:15", "2026-11-19 10:15"),
    ("1 working days", "2026-11-20 17:59", "2026-11-23 17:59"),
    ("5 working days", "2026-11-18 10:15", "2026-11-25 10:15"),
    ("1 working day", "2026-11-18 06:00", "2026-11-19 08:30"),
    ("1 working day", "2026-11-18 12:30", "2026-11-19 14:00"),
    ("1 working day", "2026-11-18 18:00", "2026-11-20 08:30"),
    ("1 working day", "2026-11-21 11:00", "2026-11-24 08:30"),
    ("0.5 working days", "2026-11-18 08:30", "2026-11-18 14:15"),
    # Spring Festival 2026, over a Saturday that works before and after.
    ("1 working day", "2026-02-13 10:00", "2026-02-14 10:00"),
    ("1 working day", "2026-02-14 10:00", "2026-02-24 10:00"),
    ("5 working days", "2026-02-14 10:00", "2026-02-28 10:00"),
    ("1 working day", "2026-02-17 10:00", "2026-02-25 08:30"),
    ("4 working hours", "2026-02-14 16:00", "2026-02-24 10:30"),
    # National Day 2026.
    ("1 working day", "2026-09-18 10:00", "2026-09-20 10:00"),
    ("1 working day", "2026-09-30 09:00", "2026-10-08 09:00"),
    ("3 working days", "2026-09-30 09:00", "2026-10-10 09:00"),
    ("1 working hour", "2026-09-30 17:30", "2026-10-08 09:00"),
    # Spring Festival 2024 (Sundays 02-04 and 02-18 work) and 2025 (Sunday 01-26 and Saturday 02-08).
    ("1 working day", "2024-02-02 10:00", "2024-02-04 10:00"),
    ("6 working days", "2024-02-04 10:00", "2024-02-18 10:00"),
    ("1 working day", "2025-01-24 10:00", "2025-01-26 10:00"),
    ("2 working days", "2025-01-26 10:00", "2025-02-05 10:00"),
    ("4 working days", "2025-01-27 10:00", "2025-02-08 10:00"),
    # The turn of a year, and a leap day.
    ("1 working day", "2025-12-31 17:00", "2026-01-04 17:00"),
    ("1 natural day", "2024-02-28 09:00", "2024-02-29 09:00"),
]


@pytest.mark.parametrize(("limit", "start", "due"), DUE, ids=[f"{each[0]} from {each[1]}" for each in DUE])
def test_a_limit_runs_out_when_the_calendar_says(limit: str, start: str, due: str) -> None:
    found = CHINA.due(Limit.parse(limit), at(start))
    assert shown(found) == due
    assert found.isoformat().endswith("+08:00")
    assert CHINA.due(Limit.parse(limit), at(start).astimezone(UTC)) == found


WORKING = [
    *(
        (day, True)
        for day in ("2026-02-14", "2026-02-28", "2024-02-04", "2024-02-18", "2025-01-26", "2026-10-10")
    ),
    *((f"2026-10-0{day}", False) for day in range(1, 8)),
    *((f"2026-02-{day}", False) for day in range(15, 24)),
    *((day, False) for day in ("2024-02-10", "2025-01-28", "2025-02-04", "2026-06-19", "2026-11-22")),
    *((day, True) for day in ("2026-10-08", "2026-11-20", "2025-02-05", "2024-02-19")),
]


@pytest.mark.parametrize(("day", "works"), WORKING, ids=[each[0] for each in WORKING])
def test_holidays_and_make_up_days(day: str, works: bool) -> None:
    assert CHINA.works_on(date.fromisoformat(day)) is works


def test_a_year_without_moved_days_is_not_known_yet() -> None:
    assert CHINA.known_until == date(max(day.year for day in CHINA.make_up_days), 12, 31)
    assert {day.year for day in CHINA.make_up_days} >= {2024, 2025, 2026}


def test_the_citys_own_days_outdo_those_of_the_country() -> None:
    calendar = CalendarFile.model_validate(
        {
            "working_hours": ["08:30-12:00"],
            "working_weekdays": ["mon"],
            "holidays": {"country": "CN", "years": [2026, 2026]},
            "extra_holidays": [date(2026, 2, 14), date(2026, 11, 23)],
            "extra_working_days": [date(2026, 10, 1), date(2026, 11, 22)],
        }
    ).resolved("Asia/Shanghai")
    worked = Calendar.model_validate(calendar)
    assert not worked.works_on(date(2026, 2, 14))
    assert not worked.works_on(date(2026, 11, 23))
    assert worked.works_on(date(2026, 10, 1))
    assert worked.works_on(date(2026, 11, 22))


# In Vienna the clocks go from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25.
CHANGES = [
    ("4 urgent hours", "2026-03-29 00:30", "2026-03-29 05:30"),
    ("4 urgent hours", "2026-10-25 00:30", "2026-10-25 03:30"),
    ("4 working hours", "2026-03-29 00:30", "2026-03-29 05:30"),
    ("4 working hours", "2026-10-25 00:30", "2026-10-25 03:30"),
    ("6 working hours", "2026-03-29 00:00", "2026-03-29 09:00"),
    ("1 natural day", "2026-03-28 12:00", "2026-03-29 12:00"),
    ("1 natural day", "2026-10-24 12:00", "2026-10-25 12:00"),
    ("1 working day", "2026-10-24 12:00", "2026-10-25 12:00"),
    ("1 natural day", "2026-03-28 02:30", "2026-03-29 03:30"),
]


@pytest.mark.parametrize(
    ("limit", "start", "due"), CHANGES, ids=[f"{each[0]} from {each[1]}" for each in CHANGES]
)
def test_limits_across_a_change_of_the_clocks(limit: str, start: str, due: str) -> None:
    found = VIENNA.due(Limit.parse(limit), at(start, VIENNA))
    assert shown(found) == due
    assert found.utcoffset() == at(due, VIENNA).utcoffset()


PAUSES = [
    # limit, due, paused, resumed, due then
    ("4 working hours", "2026-11-18 11:00", "2026-11-18 09:00", "2026-11-18 10:00", "2026-11-18 12:00"),
    ("4 working hours", "2026-11-18 11:30", "2026-11-18 09:00", "2026-11-18 10:00", "2026-11-18 14:30"),
    ("4 working hours", "2026-11-18 11:00", "2026-11-17 18:00", "2026-11-18 08:30", "2026-11-18 11:00"),
    ("2 working days", "2026-11-19 10:00", "2026-11-18 10:00", "2026-11-20 10:00", "2026-11-23 10:00"),
    ("2 working days", "2026-11-20 10:00", "2026-11-20 09:00", "2026-11-23 09:00", "2026-11-23 10:00"),
    ("2 urgent hours", "2026-11-18 11:00", "2026-11-18 10:30", "2026-11-19 10:30", "2026-11-19 11:00"),
    ("7 natural days", "2026-11-18 11:00", "2026-11-17 11:00", "2026-11-20 12:00", "2026-11-21 12:00"),
    ("2 urgent hours", "2026-11-18 11:00", "2026-11-18 11:30", "2026-11-19 10:30", "2026-11-18 11:00"),
]


@pytest.mark.parametrize(("limit", "due", "paused", "resumed", "then"), PAUSES)
def test_a_pause_does_not_count(limit: str, due: str, paused: str, resumed: str, then: str) -> None:
    assert shown(CHINA.shifted(at(due), Limit.parse(limit), at(paused), at(resumed))) == then


def test_what_passes_is_counted_in_the_unit() -> None:
    friday, monday = at("2026-11-20 17:00"), at("2026-11-23 09:30")
    assert CHINA.elapsed(Unit.WORKING_HOURS, friday, monday) == 2
    assert CHINA.elapsed(Unit.WORKING_DAYS, friday, monday) == pytest.approx(2 / 7.5)
    assert CHINA.elapsed(Unit.URGENT_HOURS, friday, monday) == 64.5
    assert CHINA.elapsed(Unit.MINUTES, friday, monday) == 64.5 * 60
    assert CHINA.elapsed(Unit.NATURAL_DAYS, friday, monday) == 64.5 / 24
    assert CHINA.elapsed(Unit.URGENT_HOURS, monday, friday) == 0


TEXTS = [
    "30 minutes",
    "2 urgent hours",
    "4 working hours",
    "1 working day",
    "7 natural days",
    "1.5 working hours",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_limit_is_written_as_it_is_read(text: str) -> None:
    assert str(Limit.parse(text)) == text
    adapter = TypeAdapter(Limit)
    assert adapter.validate_json(adapter.dump_json(Limit.parse(text))) == Limit.parse(text)


NO_LIMITS = ["", "soon", "4", "4 hours", "PT4H", "0 minutes", "-1 minutes", "0.0 working days", "1e9 minutes"]


@pytest.mark.parametrize("text", [*NO_LIMITS, f"{AMOUNT_MAX + 1} minutes", "nan minutes", "4 working_hours"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no time limit|leaves no time"):
        Limit.parse(text)


@pytest.mark.parametrize("value", [4, None, ["4", "minutes"], timedelta(hours=1)])
def test_a_limit_is_a_text(value: object) -> None:
    with pytest.raises(ValidationError, match="no time limit"):
        TypeAdapter(Limit).validate_python(value)


WRONG = [
    ({"working_hours": ["18:00-08:00"]}, "closes before it opens"),
    ({"working_hours": ["08:00-08:00"]}, "closes before it opens"),
    ({"working_hours": ["08:00-25:00"]}, "24 hours"),
    ({"working_hours": ["08:00-09:60"]}, "60 minutes"),
    ({"working_hours": ["8-9"]}, "write working hours like"),
    ({"working_hours": ["08:00-12:00", "11:00-18:00"]}, "overlap"),
    ({"working_hours": ["14:00-18:00", "08:00-12:00"]}, "not in order"),
    ({"working_hours": []}, "at least 1"),
    ({"working_weekdays": []}, "at least 1"),
    ({"working_weekdays": ["monday"]}, "monday is no weekday"),
    ({"time_zone": "Asia/Nowhere"}, "no such time zone"),
    ({"holidays": ["2026-10-01"], "make_up_days": ["2026-10-01"]}, "both a day off and a working day"),
]


@pytest.mark.parametrize(("change", "reason"), WRONG, ids=[each[1] for each in WRONG])
def test_a_calendar_that_is_none_is_refused(change: dict[str, object], reason: str) -> None:
    right = {"time_zone": "Asia/Shanghai", "working_hours": ["08:30-12:00"], "working_weekdays": ["mon"]}
    with pytest.raises(ValidationError, match=reason):
        Calendar.model_validate(right | change)


CALENDARS = st.sampled_from([CHINA, VIENNA, PLAIN])
STARTS = st.integers(0, 4 * 365 * 86_400).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
AMOUNTS = st.sampled_from([0.5, 1.5]) | st.integers(1, 30).map(float)
LIMITS = st.builds(Limit, AMOUNTS, st.sampled_from(Unit))
WORKING_UNITS = frozenset({Unit.WORKING_HOURS, Unit.WORKING_DAYS})
WALL_UNITS = frozenset({Unit.WORKING_DAYS, Unit.NATURAL_DAYS})


def clocks_change(calendar: Calendar, moment: datetime) -> bool:
    """Within the hours in which the clock on the wall jumps."""
    around = [moment + timedelta(hours=hours) for hours in (-3, 0, 3)]
    return len({calendar.local(each).utcoffset() for each in around}) > 1


@given(CALENDARS, LIMITS, STARTS)
def test_law_nothing_is_due_before_it_begins(calendar: Calendar, limit: Limit, start: datetime) -> None:
    due = calendar.due(limit, start)
    assert due > start
    assert due.utcoffset() == due.astimezone(calendar.zone).utcoffset()


@given(CALENDARS, LIMITS, STARTS, st.timedeltas(timedelta(), timedelta(days=20)))
def test_law_what_begins_later_is_not_due_earlier(
    calendar: Calendar, limit: Limit, start: datetime, later: timedelta
) -> None:
    assume(not any(clocks_change(calendar, each) for each in (start, start + later)))
    assert calendar.due(limit, start) <= calendar.due(limit, start + later)


@given(CALENDARS, LIMITS, STARTS)
def test_law_working_limits_end_in_working_time(calendar: Calendar, limit: Limit, start: datetime) -> None:
    assume(limit.unit in WORKING_UNITS)
    due = calendar.due(limit, start)
    assert calendar.works_at(due) or calendar.works_at(due - timedelta(microseconds=1))


@given(CALENDARS, LIMITS, STARTS)
def test_law_from_start_to_due_the_limit_passes(calendar: Calendar, limit: Limit, start: datetime) -> None:
    due = calendar.due(limit, start)
    assume(limit.unit not in WALL_UNITS or not any(clocks_change(calendar, each) for each in (start, due)))
    assert calendar.elapsed(limit.unit, start, due) == limit.amount


@given(CALENDARS, LIMITS, STARTS, st.floats(0, 1.5))
def test_law_an_empty_pause_changes_nothing(
    calendar: Calendar, limit: Limit, start: datetime, share: float
) -> None:
    due = calendar.due(limit, start)
    paused_at = start + (due - start) * share
    assert calendar.shifted(due, limit, paused_at, paused_at) == due


@given(CALENDARS, LIMITS, STARTS, st.floats(0, 1), st.timedeltas(timedelta(), timedelta(days=20)))
def test_law_what_is_left_before_a_pause_is_left_after_it(
    calendar: Calendar, limit: Limit, start: datetime, share: float, pause: timedelta
) -> None:
    due = calendar.due(limit, start)
    paused_at = start + (due - start) * share
    assume(paused_at < due)
    resumed_at = paused_at + pause
    then = calendar.shifted(due, limit, paused_at, resumed_at)
    moments = (paused_at, resumed_at, due, then)
    assume(limit.unit not in WALL_UNITS or not any(clocks_change(calendar, each) for each in moments))
    before, after = (calendar.elapsed(limit.unit, *each) for each in ((paused_at, due), (resumed_at, then)))
    assert after == pytest.approx(before, abs=1e-9)
    assert then >= due
