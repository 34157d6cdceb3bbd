"""A decision made once more, under the rules and on the facts of then; and whether it comes out the same."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, NamedTuple

from cli.why import dispatch, dispatch_rules, evaluation, intake, patrol
from cli.why.decisions import Decision
from cli.why.rules import NotAgain, Rule, Verdict
from libs.events.contracts.base import Event
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered
from libs.events.policy import RuleBook
from libs.events.wording import Text

Outcome = tuple[Event, ...] | Enum
PATROLS: Final = (PatrolOrdered, CheckedIn, PatrolFound, PatrolEnded)
STATED: Final = Text("another system stated it, nothing was decided here", "由来源系统记录，本系统未作决定")
NO_RULES: Final = Text("it does not say under which rules it was decided", "未记录所依据的规则版本")


class Difference(NamedTuple):
    """One field that comes out as another."""

    field: str
    stands: Any
    again: Any


class Again(NamedTuple):
    """What came of deciding again."""

    verdict: Verdict
    text: Text
    differences: tuple[Difference, ...] = ()
    command: Any = None
    """What was asked, made anew; None where nothing could be."""


class _Service(NamedTuple):
    command_of: Callable[[Decision, RuleBook, datetime], Any]
    outcome_of: Callable[[Any, Decision], Outcome]
    rules_of: Callable[[Decision, RuleBook], Iterator[Rule]]


_SERVICES: Final = {
    "/intake": _Service(intake.command_of, intake.outcome_of, intake.rules_of),
    "/dispatch": _Service(dispatch.command_of, dispatch.outcome_of, dispatch_rules.rules_of),
    "/evaluation": _Service(evaluation.command_of, evaluation.outcome_of, evaluation.rules_of),
}
_PATROL: Final = _Service(patrol.command_of, patrol.outcome_of, patrol.rules_of)


def _service(decision: Decision) -> _Service | None:
    if isinstance(decision.facts[0], PATROLS):
        return _PATROL
    return _SERVICES.get(decision.envelope.source)


def rules_of(decision: Decision, book: RuleBook | None) -> tuple[Rule, ...]:
    """The rules that a decision went by; none where nobody here decided, or the rules are not known."""
    service = _service(decision)
    if book is None or service is None or decision.stated_elsewhere:
        return ()
    return tuple(service.rules_of(decision, book))


def again(decision: Decision, book: RuleBook | None) -> Again:
    """Decide once more."""
    service = _service(decision)
    if decision.stated_elsewhere or service is None:
        return Again(Verdict.NOT_DECIDED, STATED)
    if book is None:
        return Again(Verdict.NOT_DECIDED, NO_RULES)
    made = _decided(service, decision, book, decision.time)
    if made.verdict is Verdict.SAME or not decision.put_in_order:
        return made
    earlier = _shift(made.differences)
    if earlier is None:
        return made
    # Who lost a race, or whose clock was behind, decided by a moment before the one that the fact then got.
    other = _decided(service, decision, book, decision.time + earlier)
    if other.verdict is not Verdict.SAME:
        return made
    seconds = -earlier.total_seconds()
    return other._replace(
        text=Text(
            f"the same comes out, decided {seconds:.6f} s before the time that it was given to stand in order",
            f"结果一致；实际决定时间早于记录时间 {seconds:.6f} 秒（为保持先后次序而顺延）",
        )
    )


def _decided(service: _Service, decision: Decision, book: RuleBook, now: datetime) -> Again:
    command = service.command_of(decision, book, now)
    if isinstance(command, NotAgain):
        return Again(Verdict.NOT_DECIDED, command.reason)
    outcome = service.outcome_of(command, decision)
    return compared(decision.facts, outcome, command)


def compared(facts: Sequence[Event], outcome: Outcome, command: Any = None) -> Again:
    """What stands beside what comes out now."""
    if isinstance(outcome, Enum):
        told = Text(f"it would be refused now: {outcome.value}", f"重算被拒绝：{outcome.value}")
        return Again(Verdict.REFUSED, told, command=command)
    if not outcome:
        return Again(Verdict.NOTHING, Text("nothing would follow now", "重算不产生任何记录"), command=command)
    differences = tuple(_differences(facts, outcome))
    if differences:
        told = Text("something else comes out now", "重算结果不同")
        return Again(Verdict.DIFFERENT, told, differences, command)
    return Again(Verdict.SAME, _same(facts), command=command)


def _same(facts: Sequence[Event]) -> Text:
    match facts[0]:
        case CaseFiled(reason="rule" | "trusted"):
            return Text("the same comes out", "结果一致").then(
                Text(f"({intake.NEAR_UNKNOWN.en})", f"（{intake.NEAR_UNKNOWN.zh}）")
            )
        case CaseReported():
            return Text("it would be taken again as it stands", "可照原样再次受理")
        case _:
            return Text("the same comes out", "结果一致")


def _differences(facts: Sequence[Event], outcome: Sequence[Event]) -> Iterator[Difference]:
    names, again_names = [fact.name() for fact in facts], [fact.name() for fact in outcome]
    if names != again_names:
        yield Difference("events", names, again_names)
        return
    for fact, other in zip(facts, outcome, strict=True):
        stands, comes = fact.model_dump(), other.model_dump()
        for field in stands:
            if stands[field] != comes[field]:
                yield Difference(f"{fact.name()}.{field}", stands[field], comes[field])


def _shift(differences: Sequence[Difference]) -> timedelta | None:
    """By how much earlier the first moment stands than it comes out."""
    for each in differences:
        stands, comes = _moment(each.stands), _moment(each.again)
        if stands and comes and stands < comes:
            return stands - comes
    return None


def _moment(value: Any) -> datetime | None:
    found = value.get("due_at") if isinstance(value, dict) else value
    return found if isinstance(found, datetime) else None


def told_command(command: Any) -> dict[str, Any]:
    """What was asked, by its fields, without what every decision has: the rules and the time."""
    assert is_dataclass(command), "commands are"
    left_out = {"rules", "now", "near", "target", "windows", "place", "reporter", "answers"}
    return {
        "name": type(command).__name__,
        **{each.name: getattr(command, each.name) for each in fields(command) if each.name not in left_out},
    }
