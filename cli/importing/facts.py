"""What a row proves and the log does not have yet, by the deciders that live cases go through.  Pure."""

from datetime import datetime
from enum import Enum
from typing import Final, NamedTuple

from cli.importing.rows import Row
from libs.events.contracts.base import Event, ExternalReference
from libs.events.contracts.dispatch import Assigned
from libs.events.contracts.evaluation import CaseClosed
from libs.events.contracts.intake import CaseReported
from libs.events.envelope import Context, Origin
from libs.events.ids import derived_event_id
from libs.events.log import Fact, History
from services.dispatch import decider as dispatch
from services.evaluation import decider as evaluation
from services.intake import decider as intake

_REASONS: Final[dict[Enum, tuple[str, str]]] = {
    evaluation.Refusal.CLOSED_BEFORE_REPORTED: ("closed_at", "was closed before it was reported"),
    dispatch.Refusal.ASSIGNED_TO_ANOTHER: (
        "department",
        "the log has another department responsible, or none, for what is over",
    ),
}


class Contradiction(NamedTuple):
    """The row cannot be true beside what stands."""

    name: str
    """What the mapping calls the value at fault; empty when it is the row as a whole."""
    value: str
    reason: str


def missing_facts(row: Row, history: History, system: str) -> tuple[Fact, ...] | Contradiction:
    """The facts of *row* that *history* lacks, none when it has them all; or why the row cannot be taken."""
    if history.entries and (contradiction := _contradiction(row, history)):
        return contradiction
    case = _Case(history)
    for command, time in _statements(row, system):
        refusal = case.record(command, time)
        if refusal is not None:
            name, reason = _REASONS.get(refusal, ("", f"was refused: {refusal.value}"))
            return Contradiction(name, _shown(getattr(row, name, "")), reason)
    return _facts(row, history, system, case.added)


_Command = (
    intake.RecordReported
    | intake.RecordFiled
    | dispatch.RecordAssigned
    | dispatch.RecordHandled
    | evaluation.RecordClosed
)


def _statements(row: Row, system: str) -> list[tuple[_Command, datetime]]:
    external = ExternalReference(system=system, key=row.key)
    statements: list[tuple[_Command, datetime]] = [
        (
            intake.RecordReported(row.category, row.channel, row.description, row.place, external),
            row.reported_at,
        ),
        (intake.RecordFiled(), row.reported_at),
    ]
    if row.department is not None:
        statements.append((dispatch.RecordAssigned(row.department, row.due_at), row.reported_at))
    if row.closed_at is not None:
        if row.department is not None:
            # The source has one text for the end of a case: it stands with the closure.
            statements.append((dispatch.RecordHandled(note=""), row.closed_at))
        closed = evaluation.RecordClosed(at=row.closed_at, reported_at=row.reported_at, note=row.closing_note)
        statements.append((closed, row.closed_at))
    return statements


def is_reworded(row: Row, history: History) -> bool:
    """Whether the log keeps other texts, channel or place for this row than it says; the first stand."""
    for entry in history.entries:
        match entry.event:
            case CaseReported(description=description, channel=channel, place=place):
                if (description, channel, place) != (row.description, row.channel, row.place):
                    return True
            case CaseClosed(note=note):
                if row.closed_at is not None and note != row.closing_note:
                    return True
            case _:
                pass
    return False


class _Case:
    """One case as the three deciders see it, while facts are added to it."""

    def __init__(self, history: History) -> None:
        self.added: list[tuple[Event, datetime]] = []
        self._intake, self._dispatch, self._evaluation = intake.INITIAL, dispatch.INITIAL, evaluation.INITIAL
        for event in history.events:
            self._evolve(event)

    def record(self, command: _Command, time: datetime) -> Enum | None:
        """Add what the command proves; the refusal, if it is refused."""
        outcome = self._decide(command)
        if isinstance(outcome, Enum):
            return outcome
        for event in outcome:
            self._evolve(event)
            self.added.append((event, time))
        return None

    def _decide(self, command: _Command) -> tuple[Event, ...] | Enum:
        match command:
            case intake.RecordReported() | intake.RecordFiled():
                return intake.decide(command, self._intake)
            case dispatch.RecordAssigned() | dispatch.RecordHandled():
                return dispatch.decide(command, self._dispatch)
            case evaluation.RecordClosed():
                return evaluation.decide(command, self._evaluation)

    def _evolve(self, event: Event) -> None:
        self._intake = intake.evolve(self._intake, event)
        self._dispatch = dispatch.evolve(self._dispatch, event)
        self._evaluation = evaluation.evolve(self._evaluation, event)


def _facts(row: Row, history: History, system: str, added: list[tuple[Event, datetime]]) -> tuple[Fact, ...]:
    if not added:
        return ()
    actor = f"import:{system}"
    first = derived_event_id("import", system, row.key, "1")  # what a case's first event brought about
    return tuple(
        Fact(
            event,
            Context(actor=actor, time=time, origin=Origin.IMPORT, correlation_id=first),
            derived_event_id("import", system, row.key, str(version)) if version > 1 else first,
        )
        for version, (event, time) in enumerate(added, history.version + 1)
    )


def _contradiction(row: Row, history: History) -> Contradiction | None:
    """What the row says otherwise than the log.  Saying less is none, nor are other texts: the first stand."""
    for entry in history.entries:
        stands = _stated(entry.event, entry.envelope.time)
        for name, value in stands.items():
            said = getattr(row, name)
            if said is not None and said != value:
                reason = f"case {history.case_id} in the log has {_shown(value)} for {name}"
                return Contradiction(name, _shown(said), reason)
    return None


def _stated(event: Event, time: datetime) -> dict[str, datetime | str | None]:
    match event:
        case CaseReported():
            return {"reported_at": time, "category": event.category}
        case Assigned():
            return {"department": event.department, "due_at": event.due_at}
        case CaseClosed():
            return {"closed_at": time}
        case _:
            return {}


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    return value.isoformat() if isinstance(value, datetime) else str(value)
