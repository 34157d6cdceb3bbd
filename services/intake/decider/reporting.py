"""A new report, and what becomes of it at once.  Pure."""

from typing import Final, assert_never

from libs.events.contracts.base import Event, Place
from libs.events.contracts.intake import CaseFiled, CaseMerged, CaseReported, ReportJoined
from libs.events.persons import who
from services.intake.decider.commands import Join, RecordReported, Report, Sort
from services.intake.decider.likeness import best_match
from services.intake.decider.refusals import Outcome, Refusal
from services.intake.decider.states import Filed, Merged, Over, Rejected, Reported, State, Unreported

FILED_BY_RULE: Final = "rule"
FILED_BY_TRUST: Final = "trusted"
MERGED_BY_RULE: Final = "rule"


def report(command: Report, state: State) -> Outcome:
    """A new report; the same again adds nothing.

    What becomes of it is a decision of its own: two facts in one batch would cost the log some twenty times as much
    as two by themselves, and would have everybody wait who writes to it then.
    """
    if command.rules.category(command.category) is None:
        return Refusal.UNKNOWN_CATEGORY
    reported = CaseReported(
        category=command.category,
        channel=command.channel,
        description=command.description,
        place=command.place,
        reporter=command.reporter,
        photos=command.photos,
        answers=command.answers,
    )
    match state:
        case Unreported():
            return (reported,)
        case Reported() | Filed() | Rejected() | Merged() | Over():
            return () if _says(state.report) == _says(reported) else Refusal.REPORTED_DIFFERENTLY
        case _:
            assert_never(state)


def sort(command: Sort, state: State) -> Outcome:
    """A live report that nobody has decided about is joined or filed; nothing, when it waits for a specialist."""
    match state:
        case Unreported():
            return Refusal.NOT_REPORTED
        case Reported():
            return _first_step(command, state.report)
        case Filed() | Rejected() | Merged() | Over():
            return ()
        case _:
            assert_never(state)


def _first_step(command: Sort, report: CaseReported) -> tuple[Event, ...]:
    rules = command.rules
    category = rules.category(report.category)
    if category is None or report.external is not None:
        return ()  # a specialist says what it is; an imported one starts no work
    match = best_match(
        report.category, report.description, report.place, command.near, rules=rules, now=command.now
    )
    if match is not None:
        return (
            CaseMerged(
                into=match.case_id,
                reason=MERGED_BY_RULE,
                distance_metres=match.distance_metres,
                similarity=match.similarity,
            ),
        )
    if category.files_at_once:
        return (CaseFiled(category=report.category, reason=FILED_BY_RULE),)
    if report.channel in rules.filing.trusted_channels:
        return (CaseFiled(category=report.category, reason=FILED_BY_TRUST),)
    return ()


def _says(report: CaseReported) -> CaseReported:
    """What the reporter said, without what the rule book of that day made of the place.

    Of who reported, the person: each sealing of the same words gives another text.
    """
    place = report.place
    if place.longitude is not None:
        place = Place(
            time_zone=place.time_zone,
            address=place.address,
            longitude=place.longitude,
            latitude=place.latitude,
        )
    return report.model_copy(update={"place": place, "reporter": who(report.reporter)})


def record_reported(command: RecordReported, state: State) -> Outcome:
    """What another system states of a report, whatever the rule book would say of it."""
    match state:
        case Unreported():
            return (
                CaseReported(
                    category=command.category,
                    channel=command.channel,
                    description=command.description,
                    place=command.place,
                    external=command.external,
                ),
            )
        case Reported() | Filed() | Rejected() | Merged() | Over():
            return ()  # what a source first said of a row stands
        case _:
            assert_never(state)


def join(command: Join, state: State) -> Outcome:
    """Also to a case that was closed meanwhile: who closes it answers everybody who was joined to it."""
    match state:
        case Unreported():
            return Refusal.NOT_REPORTED
        case Filed() | Over(was=Filed()):
            filed = state.was if isinstance(state, Over) else state
            assert isinstance(filed, Filed), "the pattern says so"
            if command.report in filed.joined:
                return ()
            joined = ReportJoined(
                report=command.report, reported_at=command.reported_at, channel=command.channel
            )
            return (joined,)
        case Merged() | Over(was=Merged()):
            return Refusal.ALREADY_MERGED
        case Reported() | Rejected() | Over():
            return Refusal.NOT_FILED
        case _:
            assert_never(state)
