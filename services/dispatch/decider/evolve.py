"""What a case is after a fact.  Never refuses: a fact has already happened; facts of others change nothing here."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce

from libs.events.contracts.base import Event, Place
from libs.events.contracts.dispatch import (
    Accepted,
    Acknowledged,
    Assigned,
    ClockPaused,
    ClockResumed,
    Deadline,
    Declined,
    DueSoon,
    Escalated,
    ExtensionGranted,
    ExtensionRefused,
    ExtensionRequested,
    Handled,
    ProgressNoted,
    Recalled,
    ReportedIn,
    Summoned,
    UnitSent,
    WhistleBlown,
)
from libs.events.contracts.evaluation import CaseClosed, CaseReopened, HandlingReturned
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseMerged, CaseRejected, CaseReported
from libs.events.envelope import Entry
from libs.events.masking import masked
from services.dispatch.decider.marks import escalated, warned
from services.dispatch.decider.states import (
    INITIAL,
    Asked,
    Case,
    Cause,
    Clock,
    Clocks,
    Denied,
    Done,
    Extensions,
    Filed,
    Granted,
    InHands,
    Lane,
    Noted,
    Over,
    Past,
    Paused,
    Running,
    Signed,
    State,
    Summons,
    Unfiled,
    Unreported,
    Unsigned,
    Waiting,
    Whistle,
    Why,
)


def evolve(  # noqa: PLR0911 - one for each fact
    state: State, event: Event, at: datetime | None = None
) -> State:
    """The state after a fact that happened *at* that time, which its envelope knows."""
    match event:
        case CaseReported():
            return Unfiled(event, at) if isinstance(state, Unreported) else state
        case CaseFiled():
            return _filed(state, event)
        case CaseAdopted():
            return _adopted(state, event)
        case CaseRejected() | CaseMerged() | CaseClosed():
            return _ended(state, event)
        case CaseReopened():
            return _reopened(state)
        case Assigned():
            return _assigned(state, event)
        case WhistleBlown() | Summoned() | ReportedIn():
            return _called(state, event)
        case DueSoon():
            return warned(state, event)
        case Escalated():
            return escalated(state, event)
        case _:
            return _in_hands(state, event, at) if isinstance(state, InHands) else state


def fold(events: Iterable[Event]) -> State:
    """The state after all of *events*, of which it is not known when they happened."""
    return reduce(evolve, events, INITIAL)


def fold_entries(entries: Sequence[Entry]) -> State:
    """The state after what stands in the log."""
    state: State = INITIAL
    for entry in entries:
        state = evolve(state, entry.event, entry.envelope.time)
    return state


def _filed(state: State, event: CaseFiled) -> State:
    if not isinstance(state, Unfiled):
        return state
    return Filed(_case(state, event.category), Past(), Cause.FILED)


def _case(state: Unfiled, category: str) -> Case:
    # Reports are masked when they come in; those of earlier versions were not, and what departments get copies them.
    report = state.report
    description, place = masked(report.description), _masked_place(report.place)
    return Case(category, description, place, report.photos, state.reported_at, report.answers)


def _masked_place(place: Place) -> Place:
    address = place.address and masked(place.address)
    return place if address == place.address else place.model_copy(update={"address": address})


def _adopted(state: State, event: CaseAdopted) -> State:
    if not isinstance(state, Filed | Waiting | InHands):
        return state
    before = state.department if isinstance(state, InHands) else None
    case = replace(state.case, category=event.category, place=_masked_place(event.place))
    return Filed(case, state.past, Cause.ADOPTED, before)


def _ended(state: State, event: CaseRejected | CaseMerged | CaseClosed) -> Over:
    over = _over(state)
    return replace(over, joined=over.joined or isinstance(event, CaseMerged))


def _over(state: State) -> Over:
    match state:
        case Unreported():
            return Over(None, Past(), None)
        case Unfiled():
            return Over(_case(state, state.report.category), Past(), None)
        case Filed() | Waiting():
            return Over(state.case, state.past, None)
        case InHands():
            return Over(state.case, state.past, state.department)
        case Over():
            return state


def _reopened(state: State) -> State:
    if not isinstance(state, Over) or state.case is None or state.joined:
        return state
    # Who was called to the case as it was need not come to what it is now, and the same may be asked for again.
    past = replace(state.past, summons=(), whistle=None, raised_because=None)
    return Filed(state.case, past, Cause.REOPENED, state.department)


def _assigned(state: State, event: Assigned) -> State:
    if isinstance(state, Unreported | Over):
        return state
    case = _case(state, state.report.category) if isinstance(state, Unfiled) else state.case
    past = Past() if isinstance(state, Unfiled) else state.past
    past = replace(past, assignments=past.assignments + 1)
    # Imported history carries no brief, and starts no clock.
    live = event.brief is not None
    handle = Clock(event.due_at, event.warn_at) if live and event.due_at else None
    return InHands(
        case=case,
        past=past,
        department=event.department,
        stage=Unsigned(_clock(event.sign) if live else None),
        clocks=Clocks(handle, tuple(Clock(each) for each in event.overdue_at) if live else ()),
        limits=event.limits,
        lane=Lane(event.lane) if event.lane else None,
    )


def _called(state: State, event: WhistleBlown | Summoned | ReportedIn) -> State:
    if not isinstance(state, Filed | Waiting | InHands):
        return state
    past = state.past
    match event:
        case WhistleBlown():
            whistle = Whistle(event.whistle, event.by, event.departments, event.lead, event.reason)
            past = replace(past, whistle=whistle, whistles=event.whistle)
        case Summoned(department=department):
            called = Summons(
                department,
                event.whistle,
                event.officer,
                Clock(event.report_in.due_at, event.report_in.warn_at),
            )
            others = tuple(each for each in past.summons if each.department != department)
            past = replace(past, summons=(*others, called))
        case ReportedIn():
            summons = tuple(
                replace(each, reported_in=True) if each.department == event.department else each
                for each in past.summons
            )
            past = replace(past, summons=summons)
    return replace(state, past=past)


def _in_hands(state: InHands, event: Event, at: datetime | None) -> State:  # noqa: PLR0911 - one for each fact
    match event:
        case Recalled():
            return Waiting(state.case, state.past, Why.RECALLED)
        case Declined():
            return _returned(state, event)
        case Accepted():
            return replace(state, stage=Signed()) if isinstance(state.stage, Unsigned) else state
        case Handled():
            return replace(state, stage=Done(_clock(event.verify)), pause=Running())
        case HandlingReturned():
            past = replace(state.past, reworks=event.count)
            return replace(state, past=past, stage=Signed() if isinstance(state.stage, Done) else state.stage)
        case ProgressNoted(note=note, photos=photos):
            past = replace(state.past, notes=state.past.notes + 1)
            return replace(state, past=past, noted=Noted(note, photos))
        case _:
            return _meanwhile(state, event, at)


def _meanwhile(state: InHands, event: Event, at: datetime | None) -> InHands:
    match event:
        case Acknowledged() | UnitSent():
            return _in_lane(state, event)
        case ClockPaused(reason=reason):
            past = replace(state.past, pauses=state.past.pauses + 1)
            return replace(state, past=past, pause=Paused(reason, at))
        case ClockResumed():
            return _resumed(state, event)
        case ExtensionRequested() | ExtensionGranted() | ExtensionRefused():
            return _extension(state, event)
        case _:
            return state


def _returned(state: InHands, event: Declined) -> State:
    returned_by = state.past.returned_by | {event.department}
    return Waiting(
        state.case, replace(state.past, returns=event.count, returned_by=returned_by), Why.RETURNED
    )


def _in_lane(state: InHands, event: Acknowledged | UnitSent) -> InHands:
    if state.lane is None:
        return state
    match event:
        case Acknowledged():
            return replace(state, lane=replace(state.lane, acknowledged=True))
        case UnitSent(unit=unit):
            return replace(state, lane=replace(state.lane, unit=unit))


def _resumed(state: InHands, event: ClockResumed) -> InHands:
    """The same clocks, later: who was reminded is not reminded again, and what was missed stays so."""
    stage, clocks = state.stage, state.clocks
    if isinstance(stage, Unsigned) and stage.sign and event.sign:
        stage = Unsigned(replace(stage.sign, due_at=event.sign.due_at, warn_at=event.sign.warn_at))
    if clocks.handle and event.due_at:
        handle = replace(clocks.handle, due_at=event.due_at, warn_at=event.warn_at)
        used = dict(enumerate(clocks.overdue))
        overdue = tuple(
            replace(used.get(number, Clock(each)), due_at=each)
            for number, each in enumerate(event.overdue_at)
        )
        clocks = Clocks(handle, overdue)
    return replace(state, stage=stage, clocks=clocks, pause=Running())


def _extension(state: InHands, event: ExtensionRequested | ExtensionGranted | ExtensionRefused) -> InHands:
    extensions = state.extensions
    match event:
        case ExtensionRequested(until=until, reason=reason):
            asked = replace(extensions, wish=Asked(until, reason), asked=extensions.asked + 1)
            return replace(state, extensions=asked)
        case ExtensionRefused(reason=reason):
            return replace(state, extensions=replace(extensions, wish=Denied(reason)))
        case ExtensionGranted(due_at=due_at):
            wished = extensions.wish.until if isinstance(extensions.wish, Asked) else due_at
            granted = Extensions(Granted(wished, due_at), extensions.asked, extensions.granted + 1)
            clocks = Clocks(Clock(due_at, event.warn_at), tuple(Clock(each) for each in event.overdue_at))
            return replace(state, extensions=granted, clocks=clocks)


def _clock(deadline: Deadline | None) -> Clock | None:
    return Clock(deadline.due_at, deadline.warn_at) if deadline else None
