"""Evaluation's read models in a real PostgreSQL: every figure, as of any moment, is what a plain count gives."""

import random
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from cli.stack.state import Stack
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Assigned,
    ClockPaused,
    ClockResumed,
    Deadline,
    Declined,
    ExtensionGranted,
    Handled,
    Recalled,
    ReportedIn,
    Summoned,
    WhistleBlown,
)
from libs.events.contracts.evaluation import (
    CardIssued,
    CaseClosed,
    CaseReopened,
    HandlingReturned,
    Outcome,
    Rated,
    ServiceScored,
    Verified,
)
from libs.events.contracts.intake import CaseFiled, CaseRejected, CaseReported
from libs.events.envelope import Context, Entry, seal
from libs.events.ids import case_id_of_import, derived_event_id
from libs.events.readmodel import Connection, asking, pool_of, prepare, writing
from libs.events.testing.examples import BRIEF, PLACE
from services.evaluation.judging import cases_behind, lines
from services.evaluation.views import MODEL, By, Span, scoreboard
from services.evaluation.views.measures import COUNTED, Key, Page
from tests.unit.specs import rule_book

BEGIN: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
CASES: Final = 150
DEPARTMENTS: Final = ("water", "roads")
CATEGORIES: Final = ("0101", "0102")
COMMUNITIES: Final = ("qiaotou", "liuyuan")
CHANNELS: Final = ("web", "patrol")
SEED: Final = 20260302
BOOK: Final = rule_book()
MOMENTS: Final = tuple(BEGIN + timedelta(hours=hours) for hours in (0, 5, 20, 60, 150, 400))


class Story:
    """One case that goes on at random, as cases do."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.chance = chance
        self.case_id = case_id_of_import("story", str(number))
        self.now = BEGIN + timedelta(minutes=chance.randrange(5 * 24 * 60))
        self.entries: list[Entry] = []
        self.category = chance.choice(CATEGORIES)
        self.department = chance.choice(DEPARTMENTS)

    def says(self, *events: Event) -> None:
        """All of them happen at one moment."""
        for event in events:
            version = len(self.entries) + 1
            event_id = derived_event_id("story", self.case_id, str(version))
            context = Context(actor="story", time=self.now)
            envelope = seal(
                event, event_id=event_id, case_id=self.case_id, context=context, recorded_at=self.now
            )
            self.entries.append(Entry(version, self.case_id, event.name(), version, envelope))
        self.now += timedelta(minutes=self.chance.randrange(1, 600))

    def maybe(self, share: float) -> bool:
        """Whether it happens, so often."""
        return self.chance.random() < share

    def soon(self) -> datetime:
        """A time limit that is sometimes kept."""
        return self.now + timedelta(minutes=self.chance.randrange(30, 1_500))

    def tell(self) -> list[Entry]:
        """From the report to wherever it comes."""
        community = self.chance.choice(COMMUNITIES)
        place = PLACE.model_copy(update={"community": community})
        channel = self.chance.choice(CHANNELS)
        self.says(CaseReported(category=self.category, channel=channel, description="-", place=place))
        if self.maybe(0.1):
            self.says(CaseRejected(reason="-"))
            return self.entries
        self.says(CaseFiled(category=self.category, reason="rule"))
        self._assign()
        for _ in range(self.chance.randrange(1, 4)):
            if self.maybe(0.2):
                return self.entries
            self._work(community)
            if not self._reopened():
                break
        return self.entries

    def _assign(self) -> None:
        due_at = self.soon() if self.maybe(0.9) else None
        self.says(
            Assigned(
                department=self.department, due_at=due_at, sign=Deadline(due_at=self.soon()), brief=BRIEF
            )
        )
        if self.maybe(0.2):
            self.says(Declined(department=self.department, reason="-", count=1))
            self.department = self.chance.choice(DEPARTMENTS)
            self._assign()

    def _work(self, community: str) -> None:
        if self.maybe(0.8):
            self.says(Accepted(department=self.department))
        if self.maybe(0.3):
            self._whistle(community)
        if self.maybe(0.3):
            self.says(ExtensionGranted(department=self.department, due_at=self.soon()))
        if self.maybe(0.2):
            self.says(ClockPaused(department=self.department, reason="weather"))
            if self.maybe(0.7):
                self.says(ClockResumed(department=self.department, due_at=self.soon()))
        if self.maybe(0.1):
            self.says(CardIssued(department=self.department, colour="yellow", step=1))
        if self.maybe(0.1):
            self.says(Recalled(department=self.department, reason="-"))
            self._assign()
        self.says(Handled(department=self.department, note="-", verify=Deadline(due_at=self.soon())))
        if self.maybe(0.3):
            by, count = "specialist:qiaotou", 1
            self.says(HandlingReturned(department=self.department, by=by, reason="-", count=count))
            self.says(Handled(department=self.department, note="-"))
        self._close(community)

    def _whistle(self, community: str) -> None:
        by = f"community:{community}"
        blown = WhistleBlown(whistle=1, by=by, departments=DEPARTMENTS, lead=self.department, reason="-")
        if any(isinstance(entry.event, WhistleBlown) for entry in self.entries):
            return
        limit = Deadline(due_at=self.soon())
        called = [
            Summoned(department=each, whistle=1, lead=each == self.department, report_in=limit, brief=BRIEF)
            for each in DEPARTMENTS
        ]
        self.says(blown, *called)
        for each in DEPARTMENTS:
            if self.maybe(0.7):
                self.says(ReportedIn(department=each, whistle=1, officer="-"))

    def _close(self, community: str) -> None:
        verified = Verified(department=self.department, by="specialist:qiaotou")
        self.says(verified, CaseClosed(department=self.department, outcome=Outcome.RESOLVED, note=""))
        if self.maybe(0.5):
            stars = self.chance.randrange(1, 6)
            solved, satisfied = self.maybe(0.5), stars >= 4
            self.says(
                Rated(
                    department=self.department, reached=True, solved=solved, stars=stars, satisfied=satisfied
                )
            )
        if self.maybe(0.4):
            stars, by = self.chance.randrange(1, 6), f"community:{community}"
            self.says(ServiceScored(department=self.department, community=community, stars=stars, by=by))

    def _reopened(self) -> bool:
        if not self.maybe(0.3):
            return False
        self.says(CaseReopened(department=self.department, by="reporter", reason="-", count=1))
        if self.maybe(0.2):
            return False
        self._assign()
        return True


# --- the plain count


class Plain:
    """One case as it was, found by going through its facts until then."""

    def __init__(self, entries: Sequence[Entry], moment: datetime) -> None:
        self.entries = [entry for entry in entries if entry.envelope.time <= moment]
        self.moment = moment
        self.department: str | None = None
        self.due: datetime | None = None
        self.paused: datetime | None = None
        self.handled: datetime | None = None
        self.closed: datetime | None = None
        for entry in self.entries:
            self._takes(entry.event, entry.envelope.time)

    def _takes(self, event: Event, time: datetime) -> None:
        match event:
            case Assigned():
                self.department, self.due, self.paused, self.handled = (
                    event.department,
                    event.due_at,
                    None,
                    None,
                )
            case Declined() | Recalled():
                self.department, self.paused, self.handled = None, None, None
            case ExtensionGranted():
                self.due = event.due_at
            case ClockPaused():
                self.paused = time
            case ClockResumed():
                self.paused, self.due = None, event.due_at
            case Handled():
                self.handled = time
            case HandlingReturned():
                self.handled = None
            case CaseClosed():
                self.closed = time
            case CaseReopened():
                self.handled, self.closed, self.due = None, None, None
            case _:
                pass

    def key(self, by: By) -> str | None:
        """Which line it is counted in."""
        reported = self.entries[0]
        event = reported.event
        assert isinstance(event, CaseReported)
        day = reported.envelope.time.astimezone(PLACE_ZONE).date()
        return {
            By.DEPARTMENT: self.department,
            By.STREET: event.place.street,
            By.COMMUNITY: event.place.community,
            By.GRID: event.place.grid,
            By.CATEGORY: event.category,
            By.CHANNEL: event.channel,
            By.DAY: day.isoformat(),
            By.WEEK: f"{day.isocalendar().year}-W{day.isocalendar().week:02}",
            By.MONTH: f"{day:%Y-%m}",
        }[by]

    def of_case(self) -> Iterator[str]:
        """The measures that its state counts in."""
        names = {entry.name for entry in self.entries}
        yield "reported"
        yield from {"filed", "rejected"} & names
        stopped = self.paused or self.handled or self.closed
        if self.due is not None and self.due <= (self.paused or self.moment):
            yield "due"
            if self.closed:
                yield "closed"
                if stopped and stopped <= self.due:
                    yield "closed_in_time"
        if self.due is not None and not self.closed and (stopped or self.moment) > self.due:
            yield "overdue"
        if self.closed:
            yield "ended"
        elif self.handled:
            yield "to_verify"

    def of_acts(self) -> Iterator[tuple[str, str]]:  # noqa: C901, PLR0912 - a list of facts
        """Measure and department of everything that happened."""
        sign: datetime | None = None
        called: dict[str, datetime] = {}
        for entry in self.entries:
            event, time = entry.event, entry.envelope.time
            match event:
                case Assigned():
                    sign = event.sign.due_at if event.sign else None
                    yield "assigned", event.department
                case Accepted():
                    yield "signed", event.department
                    if sign and time <= sign:
                        yield "signed_in_time", event.department
                case ClockResumed() if event.sign:
                    sign = event.sign.due_at
                case Declined():
                    yield "returned", event.department
                case Handled():
                    yield "handled", event.department
                case HandlingReturned():
                    yield "reworked", event.department
                case ExtensionGranted():
                    yield "extended", event.department
                case WhistleBlown():
                    yield "whistles", event.lead
                case Summoned():
                    called[event.department] = event.report_in.due_at
                    yield "summoned", event.department
                case ReportedIn():
                    yield "reported_in", event.department
                    if time <= called[event.department]:
                        yield "reported_in_time", event.department
                case _:
                    yield from self._judged(event)

    def _judged(self, event: Event) -> Iterator[tuple[str, str]]:
        match event:
            case Rated(department=str(department)):
                yield "rated", department
                for name in ("reached", "solved", "satisfied"):
                    if getattr(event, name):
                        yield name, department
            case CaseReopened(department=str(department)):
                yield "reopened", department
            case CardIssued():
                yield "cards", event.department
                yield f"{event.colour}_cards", event.department
            case ServiceScored():
                yield "scored", event.department
            case _:
                pass


PLACE_ZONE: Final = BOOK.zone


def plain_counts(stories: Sequence[Sequence[Entry]], by: By, span: Span) -> dict[str | None, Counter[str]]:
    """Every line of a breakdown, the plainest way."""
    found: dict[str | None, Counter[str]] = defaultdict(Counter)
    for entries in stories:
        reported_at = entries[0].envelope.time
        if reported_at > span.as_of or (span.since and reported_at < span.since):
            continue
        if span.until and reported_at >= span.until:
            continue
        case = Plain(entries, span.as_of)
        found[case.key(by)].update(case.of_case())
        for measure, department in case.of_acts():
            found[department if by is By.DEPARTMENT else case.key(by)][measure] += 1
    return found


@asynccontextmanager
async def told(servers: Stack) -> AsyncGenerator[tuple[Connection, list[list[Entry]]]]:
    """Read models that hold some random cases, whose facts came in small batches, all mixed."""
    chance = random.Random(SEED)
    stories = [Story(number, chance).tell() for number in range(CASES)]
    async with pool_of(servers.postgres_dsn("whistle_evaluation")) as pool:
        await prepare(pool, MODEL)
        async with writing(pool, MODEL) as connection:
            await connection.execute("TRUNCATE cases, renamed, assignments, undone, marks, patrols")
        for batch in _mixed(stories, chance):
            async with writing(pool, MODEL) as connection:
                await MODEL.apply(connection, batch)
        async with asking(pool, "evaluation") as connection:
            yield connection, stories


def _mixed(stories: Sequence[Sequence[Entry]], chance: random.Random) -> Iterator[list[Entry]]:
    waiting = [list(entries) for entries in stories]
    while waiting:
        batch: list[Entry] = []
        for entries in chance.sample(waiting, min(20, len(waiting))):
            some = chance.randrange(1, 4)
            batch += entries[:some]
            del entries[:some]
        waiting = [entries for entries in waiting if entries]
        yield batch


SPANS: Final = [
    *(Span(moment) for moment in MOMENTS),
    Span(MOMENTS[-1], since=MOMENTS[1], until=MOMENTS[2]),
    Span(MOMENTS[3], since=MOMENTS[2]),
]


async def test_every_measure_is_what_a_plain_count_gives(servers: Stack) -> None:
    async with told(servers) as (connection, stories):
        for by in By:
            if by is By.ROLLING:
                continue
            for span in SPANS:
                found = {line["key"]: line for line in await lines(connection, BOOK, by, span)}
                expected = plain_counts(stories, by, span)
                assert set(found) == set(expected), (by, span)
                for key, line in found.items():
                    counts = {name: line[name] for name in COUNTED}
                    assert counts == {name: expected[key][name] for name in COUNTED}, (by, span, key)
                    assert line["rates"]["in_time"] == (
                        pytest.approx(100 * line["closed_in_time"] / line["due"], abs=0.005)
                        if line["due"]
                        else None
                    )
        whole = Counter[str]()
        for line in await lines(connection, BOOK, By.CATEGORY, SPANS[3]):
            whole.update({name: line[name] for name in COUNTED})
        never = {name for name in COUNTED if not whole[name]}
        assert never == {"merged", "extension_asked", "escalated", "red_cards"}, (
            "the stories tell of the rest"
        )


async def test_the_cases_behind_a_figure_are_those_that_it_counts(servers: Stack) -> None:
    span = Span(MOMENTS[4])
    async with told(servers) as (connection, stories):
        for line in await lines(connection, BOOK, By.DEPARTMENT, span):
            for measure in (*COUNTED, "responses_due", "responded"):
                found = await _all_pages(connection, measure, span, Key(every=False, value=line["key"]))
                assert sum(each["times"] for each in found) == line[measure], (measure, line["key"])
                case_ids = [each["case_id"] for each in found]
                assert case_ids == sorted(set(case_ids))
        everything = await _all_pages(connection, "reported", span, Key(every=True))
        reported = {each[0].case_id for each in stories if each[0].envelope.time <= span.as_of}
        assert {each["case_id"] for each in everything} == reported


async def _all_pages(connection: Connection, measure: str, span: Span, key: Key) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["case_id"] if found else ""
        page = await cases_behind(connection, BOOK, measure, By.DEPARTMENT, span, key, Page(7, after))
        found += page
        if len(page) < 7:
            return found


async def test_responses_count_by_the_rule_books_own_time(servers: Stack) -> None:
    span = Span(MOMENTS[5])
    limit = timedelta(hours=2)  # response_within of the test's rule book
    due, responded = 0, 0
    async with told(servers) as (connection, stories):
        found = await lines(connection, BOOK, By.COMMUNITY, span)
        for entries in stories:
            assigned_at: datetime | None = None
            for entry in entries:
                if isinstance(entry.event, Assigned) and entry.envelope.time <= span.as_of:
                    assigned_at = entry.envelope.time
                    due += assigned_at + limit <= span.as_of
                if isinstance(entry.event, Accepted) and assigned_at and entry.envelope.time <= span.as_of:
                    responded += entry.envelope.time <= assigned_at + limit
                    assigned_at = None
        assert (sum(line["responses_due"] for line in found), sum(line["responded"] for line in found)) == (
            due,
            responded,
        )
        assert 0 < responded < due


async def test_a_rolling_figure_is_that_of_the_thirty_days_that_end_with_the_day(servers: Stack) -> None:
    async with told(servers) as (connection, stories):
        found = {line["key"]: line for line in await lines(connection, BOOK, By.ROLLING, SPANS[5])}
        days = sorted(entries[0].envelope.time.astimezone(PLACE_ZONE).date() for entries in stories)
        assert sorted(found) == sorted({day.isoformat() for day in found_days(days)})
        for key, line in found.items():
            assert line["reported"] == sum(day.isoformat() <= key for day in days)


def found_days(days: Sequence[Any]) -> Iterator[Any]:
    day = days[0]
    while day <= days[-1]:
        yield day
        day += timedelta(days=1)


async def test_the_scoreboard_is_what_a_plain_count_gives(servers: Stack) -> None:
    async with told(servers) as (connection, stories):
        for moment in MOMENTS:
            found = {score.key: score for score in await scoreboard(connection, By.DEPARTMENT, Span(moment))}
            cases = [Plain(each, moment) for each in stories if each[0].envelope.time <= moment]
            assert set(found) == {case.department for case in cases}
            for key, score in found.items():
                ours = [case for case in cases if case.department == key]
                stops = [(case, case.paused or case.handled or case.closed) for case in ours]
                late = [case for case, stop in stops if case.due and (stop or moment) > case.due]
                met = [case for case, stop in stops if case.closed and stop and case.due and stop <= case.due]
                assert (score.cases, score.closed) == (len(ours), sum(bool(case.closed) for case in ours))
                assert (score.due, score.overdue) == (sum(bool(case.due) for case in ours), len(late))
                assert score.met == len(met)
