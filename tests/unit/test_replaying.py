"""The pure parts of a replay: its pace, what it chooses, what it makes of an event, and how both are written."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import UsageError
from cli.replaying.choosing import for_room, matcher
from cli.replaying.pace import LATE_SECONDS_MAX, RATE_MAX, Pace, parse_speed
from cli.replaying.starts import parse_start
from cli.stack.rulebook import example_policy
from libs.events import policy
from libs.events.contracts.base import Event
from libs.events.envelope import Entry, Envelope, Origin, decode, encode
from libs.events.jetstream.reader import RawEvent
from libs.events.starting import OfCase
from libs.events.subjects import name_of, room_in, room_subject
from libs.events.testing.examples import EXAMPLES, envelope_of
from libs.events.timekeeping import Timekeeper
from services.dispatch import views as dispatch_views
from services.dispatch.fastlane import FastLane
from services.dispatch.reactor import react as dispatch_reacts
from services.evaluation.reactor import is_heard
from services.intake import views as intake_views
from services.intake.reactor import react as intake_reacts
from services.intake.reactor import to_sort
from services.notify import views as notify_views
from services.notify.deciding.notices import notice_about
from services.notify.delivery.planner import is_told

BOOK = policy.load(example_policy())
NOBODY: Any = None  # who is asked for anything fails the test
T0 = datetime(2026, 3, 4, 8, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def times(pace: Pace, recorded: list[float], *, start: float = 100.0) -> list[float]:
    """When each is played by a player that does nothing but wait, in seconds after the first."""
    now, played = start, []
    for each in recorded:
        now += pace.wait(at(each), now)
        played.append(round(now - start, 6))
    return played


@pytest.mark.parametrize(("speed", "expected"), [(1.0, [0, 10, 30]), (10.0, [0, 1, 3]), (0.5, [0, 20, 60])])
def test_it_goes_as_fast_as_it_was_times_the_speed(speed: float, expected: list[float]) -> None:
    assert times(Pace(speed, RATE_MAX), [0, 10, 30]) == expected


def test_the_rate_is_bounded_whatever_the_speed() -> None:
    assert times(Pace(None, 10), [0, 0, 0, 3600]) == [0, 0.1, 0.2, 0.3]
    assert times(Pace(1_000_000, 10), [0, 60, 120]) == [0, 0.1, 0.2]


def test_a_clock_that_was_a_little_behind_is_not_waited_for() -> None:
    assert times(Pace(1, RATE_MAX), [10, 8, 11])[2] == pytest.approx(1, abs=1e-3)


def test_what_was_missed_while_it_stood_still_is_not_caught_up_with() -> None:
    pace = Pace(1, RATE_MAX)
    assert pace.wait(at(0), 0) == 0
    assert pace.wait(at(1), 600) == 0  # stopped for ten minutes
    assert pace.wait(at(2), 600) == 1
    assert pace.wait(at(3), 601) == 1


@given(
    speed=st.one_of(st.none(), st.floats(0.01, 1e6)),
    rate=st.floats(0.5, 10_000),
    steps=st.lists(st.tuples(st.floats(-5, 5_000), st.floats(0, 30)), min_size=2, max_size=40),
)
def test_never_faster_than_the_rate_but_for_what_is_little_late(
    speed: float | None, rate: float, steps: list[tuple[float, float]]
) -> None:
    pace, now, recorded = Pace(speed, rate), 0.0, 0.0
    played: list[float] = []
    for apart, busy in steps:
        recorded += apart
        now += pace.wait(at(recorded), now)
        played.append(now)
        now += busy
    for number, moment in enumerate(played):
        within = sum(1 for other in played[: number + 1] if moment - other < 1)
        assert within <= rate * (1 + LATE_SECONDS_MAX) + 2


@pytest.mark.parametrize(("text", "speed"), [("10x", 10), ("1x", 1), ("0.5x", 0.5), ("3", 3), ("max", None)])
def test_speeds(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "x", "0x", "-1x", "fast", "nan", "inf", "1e9x", "10 y"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_speed(text)


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("case.>", ["case.a.filed.1", "case.a.assigned.2.water"], ["cases.a.filed.1"]),
        ("case.*.assigned.>", ["case.a.assigned.2", "case.a.assigned.2.water"], ["case.a.filed.1"]),
        (
            "case.*.assigned.*.water",
            ["case.a.assigned.2.water"],
            ["case.a.assigned.2", "case.a.assigned.2.fire"],
        ),
        ("case.a.>", ["case.a.filed.1"], ["case.b.filed.1", "case.aa.filed.1"]),
    ],
)
def test_subjects_are_chosen_as_the_server_would(pattern: str, fits: list[str], does_not: list[str]) -> None:
    match = matcher(pattern)
    assert all(match(subject.encode()) for subject in fits)
    assert not any(match(subject.encode()) for subject in does_not)


@pytest.mark.parametrize(
    "pattern", ["", ">", "case", "timer.>", "case.", "case.>.a", "case..a", "case.a b", "case.a*", "*.a"]
)
def test_what_is_no_subject_below_case_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"case|subject"):
        matcher(pattern)


@pytest.mark.parametrize("name", ["training", "new system", "培训 1"])
def test_a_room_has_a_subject_of_its_own(name: str) -> None:
    assert room_in(room_subject(name)) == name
    assert name_of(room_subject(name).split(".")[1]) == name


@pytest.mark.parametrize(
    "subject",
    [
        "case.>",
        "replay.>",
        "replay.a.b.>",
        "replay.a.*",
        "replay.a",
        "replay.*.>",
        "replay.a b.>",
        "replay..>",
        "",
    ],
)
def test_what_is_not_all_of_one_room_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match=r"room|token"):
        room_in(subject)


def test_a_start_is_a_position_a_time_a_date_or_a_case() -> None:
    assert parse_start("42") == 42
    assert parse_start("2026-03-04T08:00:00Z") == T0
    assert parse_start("2026-03-04") == T0.date()
    assert isinstance(parse_start("boston311/1010"), OfCase)
    assert isinstance(parse_start("7K3M-9QXP-V2TB-HW4D"), OfCase)
    with pytest.raises(UsageError, match="names no zone"):
        parse_start("2026-03-04T08:00:00")
    with pytest.raises(UsageError, match="a case"):
        parse_start("soon")


def played(event: Event) -> tuple[Envelope, Envelope, dict[str, str], str]:
    """An event as it stands in the log, as a room gets it, with its headers and subject."""
    live = envelope_of(event)
    raw = RawEvent(4711, f"case.{live.subject}.{event.name()}.1".encode(), encode(live))
    got, _ = for_room("new system", raw)
    return live, decode(got.payload), got.headers, got.subject


@pytest.mark.parametrize("event", EXAMPLES.values())
def test_what_is_played_is_the_same_event_and_says_that_it_is_a_replay(event: Event) -> None:
    live, replayed, headers, subject = played(event)
    assert replayed == live.model_copy(update={"origin": Origin.REPLAY})
    assert headers == {
        "Whistle-Origin": "replay",
        "Whistle-Position": "4711",
        "Whistle-Recorded-Time": orjson.loads(encode(live))["recordedtime"],
    }
    assert subject == f"replay.new_20system.case.{live.subject}.{event.name()}.1"


def entry_of(event: Event, envelope: Envelope) -> Entry:
    return Entry(4711, envelope.subject, event.name(), 1, envelope)


async def test_no_service_does_anything_about_what_is_played() -> None:
    """Were somebody to feed it to the services' own consumers: no command, no notice, no timer comes of it."""
    book, now = BOOK, T0
    kept = Timekeeper(NOBODY, NOBODY, NOBODY, deadlines_of=NOBODY, time_is_up=NOBODY)
    woken: set[str] = set()
    for event in EXAMPLES.values():
        live, replayed, _, _ = played(event)
        for entry in (entry_of(event, live), entry_of(event, replayed)):
            said = {
                "intake": to_sort(entry) or intake_reacts(entry) is not None,
                "dispatch": dispatch_reacts(entry, book, now) is not None,
                "evaluation": is_heard(entry),
                "notify": is_told(entry) and notice_about(entry, book) is not None,
            }
            if entry.envelope.origin is Origin.LIVE:
                woken |= {service for service, is_awake in said.items() if is_awake}
            else:
                assert not any(said.values()), (entry.name, said)
        await kept.keep(entry_of(event, replayed))
        await FastLane(NOBODY, NOBODY, NOBODY, NOBODY)(entry_of(event, replayed))
    assert woken == {"intake", "dispatch", "evaluation", "notify"}, "the same events, live, would be acted on"
    for model in (intake_views.MODEL, dispatch_views.MODEL, notify_views.MODEL):
        assert Origin.REPLAY not in model.origins
