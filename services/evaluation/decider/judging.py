"""Cards for what is long overdue, and what communities think of those who served them (下考上)."""

from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CardIssued, ServiceScored
from services.evaluation.decider.commands import IssueCard, Refusal, Score
from services.evaluation.decider.states import COMMUNITY, Case, Closed, State, Unknown


def issue_card(command: IssueCard, state: State) -> tuple[Event, ...] | Refusal:
    """One card for each department and step, anew after a reopening."""
    if isinstance(state, Unknown):
        return Refusal.UNKNOWN_CASE
    if (command.department, command.step) in state.case.cards:
        return ()
    return (CardIssued(department=command.department, colour=command.colour, step=command.step),)


def score(command: Score, state: State) -> tuple[Event, ...] | Refusal:
    """Once for each community and department, when there is something to judge."""
    if isinstance(state, Unknown):
        return Refusal.UNKNOWN_CASE
    if not 1 <= command.stars <= command.stars_max:
        return Refusal.STARS_OUT_OF_SCALE
    if not command.by.startswith(COMMUNITY):
        return Refusal.NOT_A_COMMUNITY
    scored = ServiceScored(
        department=command.department,
        community=command.by.removeprefix(COMMUNITY),
        stars=command.stars,
        by=command.by,
        note=command.note,
    )
    return _score(scored, state.case, over=isinstance(state, Closed))


def _score(scored: ServiceScored, case: Case, *, over: bool) -> tuple[Event, ...] | Refusal:
    if case.communities and scored.community not in case.communities:
        return Refusal.NOT_THEIR_CASE
    if scored.department not in case.served:
        return Refusal.DID_NOT_SERVE
    if not (over or case.handled):
        return Refusal.NOTHING_TO_SCORE
    pair = (scored.community, scored.department)
    before = next((each for each in case.scores if (each.community, each.department) == pair), None)
    if before is None:
        return (scored,)
    return () if before == scored else Refusal.SCORED_ALREADY
