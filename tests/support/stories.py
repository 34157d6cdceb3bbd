"""Stories of cases at random, and the plainest way to count what is in them: a second opinion on the read models."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

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
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseRejected, CaseReported
from libs.events.envelope import Context, Entry, seal
from libs.events.ids import case_id_of_import, derived_event_id
from libs.events.testing.examples import BRIEF, PLACE
from services.evaluation.views import By, Span
from tests.unit.specs import rule_book

BEGIN: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DEPARTMENTS: Final = ("water", "roads")
CATEGORIES: Final = ("0101", "0102")
COMMUNITIES: Final = ("qiaotou", "liuyuan")
CHANNELS: Final = ("web", "patrol")
BOOK: Final = rule_book()
PLACE_ZONE: Final = BOOK.zone
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
        confirmed = self.chance.choice(CATEGORIES) if self.maybe(0.4) else self.category
        self.says(CaseFiled(category=confirmed, reason="specialist"))
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
        day = reported.envelope.time.astimezone(ZoneInfo(event.place.time_zone)).date()
        named = [entry.event for entry in self.entries if isinstance(entry.event, CaseFiled | CaseAdopted)]
        adopted = next((event for event in named if isinstance(event, CaseAdopted)), None)
        place = adopted.place if adopted else event.place
        return {
            By.DEPARTMENT: self.department,
            By.STREET: place.street,
            By.COMMUNITY: place.community,
            By.GRID: place.grid,
            By.CATEGORY: named[-1].category if named else event.category,
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
