"""What a specialist, or another system, makes of a report: a case, none, or a part of another one.  Pure."""

from typing import Final, assert_never

from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseMerged, CaseRejected
from services.intake.decider.commands import Adopt, File, Merge, RecordFiled, Reject
from services.intake.decider.refusals import Outcome, Refusal
from services.intake.decider.states import Filed, Merged, Over, Rejected, Reported, State, Unreported

FILED_BY_SPECIALIST: Final = "specialist"
FILED_BY_RECORD: Final = "record"
MERGED_BY_SPECIALIST: Final = "specialist"

Settling = File | Reject | Merge | Adopt | RecordFiled
_Open = Unreported | Reported | Filed | Rejected | Merged


def settle(command: Settling, state: State) -> Outcome:
    """A closed case takes no new facts of these kinds; what was done before it was closed stays done."""
    if isinstance(state, Over):
        return Refusal.CASE_CLOSED if _settle(command, state.was) else ()
    return _settle(command, state)


def _settle(command: Settling, state: _Open) -> Outcome:
    match command:
        case File():
            return _file(command, state)
        case Reject():
            return _reject(command, state)
        case Merge():
            return _merge(command, state)
        case Adopt():
            return _adopt(command, state)
        case RecordFiled():
            return _record_filed(state)
        case _:
            assert_never(command)


def _file(command: File, state: _Open) -> Outcome:
    match state:
        case Unreported():
            return Refusal.NOT_REPORTED
        case Reported(report):
            category = command.category or report.category
            if command.rules.category(category) is None:
                return Refusal.UNKNOWN_CATEGORY
            return (CaseFiled(category=category, reason=FILED_BY_SPECIALIST),)
        case Filed():
            return () if command.category in {None, state.category} else Refusal.ALREADY_FILED
        case Rejected() | Merged():
            return _refused_as(state)
        case _:
            assert_never(state)


def _reject(command: Reject, state: _Open) -> Outcome:
    match state:
        case Unreported():
            return Refusal.NOT_REPORTED
        case Reported():
            return (CaseRejected(reason=command.reason),)
        case Rejected(_, reason):
            return () if reason == command.reason else Refusal.ALREADY_REJECTED
        case Filed() | Merged():
            return _refused_as(state)
        case _:
            assert_never(state)


def _merge(command: Merge, state: _Open) -> Outcome:
    match state:
        case Unreported():
            return Refusal.NOT_REPORTED
        case Reported():
            why_not = Refusal.INTO_ITSELF if command.into == command.case_id else _not_open(command.target)
            return why_not or (CaseMerged(into=command.into, reason=MERGED_BY_SPECIALIST),)
        case Merged(_, into):
            return () if into == command.into else Refusal.ALREADY_MERGED
        case Filed() | Rejected():
            return _refused_as(state)
        case _:
            assert_never(state)


def _not_open(target: State) -> Refusal | None:
    """Why nothing can be joined to a case; None when something can."""
    match target:
        case Unreported():
            return Refusal.INTO_UNKNOWN
        case Reported() | Rejected():
            return Refusal.INTO_NOT_FILED
        case Merged():
            return Refusal.INTO_MERGED
        case Over():
            return Refusal.INTO_CLOSED
        case Filed():
            return None if target.live else Refusal.INTO_NOT_LIVE
        case _:
            assert_never(target)


def _refused_as(state: Filed | Rejected | Merged) -> Refusal:
    match state:
        case Filed():
            return Refusal.ALREADY_FILED
        case Rejected():
            return Refusal.ALREADY_REJECTED
        case Merged():
            return Refusal.ALREADY_MERGED
        case _:
            assert_never(state)


def _adopt(command: Adopt, state: _Open) -> Outcome:
    match state:
        case Unreported():
            return Refusal.NOT_REPORTED
        case Reported():
            return Refusal.NOT_FILED
        case Filed():
            return () if state.adopted else _adopted(command, state)
        case Rejected() | Merged():
            return _refused_as(state)
        case _:
            assert_never(state)


def _adopted(command: Adopt, filed: Filed) -> Outcome:
    external = filed.report.external
    if external is None:
        return Refusal.NOT_IMPORTED
    if command.system not in {None, external.system}:
        return Refusal.OTHER_SYSTEM
    if command.rules.category(command.category) is None:
        return Refusal.UNKNOWN_CATEGORY
    return (CaseAdopted(category=command.category, place=command.place),)


def _record_filed(state: _Open) -> Outcome:
    match state:
        case Unreported():
            return Refusal.NOT_REPORTED
        case Reported(report):
            return (CaseFiled(category=report.category, reason=FILED_BY_RECORD),)
        case Filed():
            return ()
        case Rejected() | Merged():
            return _refused_as(state)
        case _:
            assert_never(state)
