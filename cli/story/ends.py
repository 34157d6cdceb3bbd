"""How a case ends, and patrols, told in sentences."""

from typing import assert_never

from cli.story.names import Names, note_text, photos_text
from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import (
    CaseClosed,
    CaseReopened,
    HandlingReturned,
    Rated,
    ServiceScored,
    Verified,
)
from libs.events.contracts.ledger import CaseCarriedForward
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered
from libs.events.wording import NOTHING, OUTCOMES, Text


class Ends(Names):
    """Sentences about ends."""

    def end(self, event: Event, who: Text) -> Text | None:  # noqa: PLR0911 - one sentence for each fact
        """Whether it was good, and what people think of it."""
        match event:
            case Verified():
                by, note, photos = self.who(event.by), note_text(event.note), photos_text(event.photos)
                return Text(
                    f"{by.en} looked at it, and it is good{note.en}{photos.en}.",
                    f"{by.zh}核查通过{note.zh}{photos.zh}。",
                )
            case HandlingReturned():
                by, name = self.who(event.by), self.department(event.department)
                return Text(
                    f"{by.en} looked at it, and it is not good: back to {name.en} ({event.count}): {event.reason}",
                    f"{by.zh}核查未通过，退回{name.zh}返工（第 {event.count} 次）：{event.reason}",
                )
            case CaseClosed():
                outcome, note = OUTCOMES[event.outcome], note_text(event.note)
                joined = (
                    Text(f" with case {event.joined_to}", f"随案件 {event.joined_to} ")
                    if event.joined_to
                    else NOTHING
                )
                return Text(
                    f"The case was closed{joined.en}: {outcome.en}{note.en}.",
                    f"{joined.zh}结案：{outcome.zh}{note.zh}。",
                )
            case Rated():
                return self._rated(event)
            case CaseReopened():
                by = self.who(event.by)
                return Text(
                    f"{by.en} had it reopened: {event.reason}", f"{by.zh}要求重新立案：{event.reason}"
                )
            case ServiceScored():
                by, name, note = self.who(event.by), self.department(event.department), note_text(event.note)
                return Text(
                    f"{by.en} gave {name.en} {event.stars} stars{note.en}.",
                    f"{by.zh}评价{name.zh} {event.stars} 星{note.zh}。",
                )
            case PatrolOrdered() | CheckedIn() | PatrolFound() | PatrolEnded():
                return self._patrol(event, who)
            case CaseCarriedForward():
                return Text(
                    f"The books were closed up to position {event.through}; the case goes on with its"
                    f" {event.events} events.",
                    f"日志已结账至第 {event.through} 条，本案结转 {event.events} 个事件继续办理。",
                )
            case _:
                return None

    def _rated(self, event: Rated) -> Text:
        satisfied = Text("satisfied", "满意") if event.satisfied else Text("not satisfied", "不满意")
        solved = Text("solved", "已解决") if event.solved else Text("not solved", "未解决")
        reached = Text("reached", "已联系") if event.reached else Text("not reached", "未联系")
        text = Text(f": “{event.text}”", f"：“{event.text}”") if event.text else NOTHING
        return Text(
            f"The reporter rated it: {event.stars} stars, {satisfied.en}, {reached.en}, {solved.en}{text.en}.",
            f"诉求人评价：{event.stars} 星，{satisfied.zh}，{reached.zh}，{solved.zh}{text.zh}。",
        )

    def _patrol(self, event: PatrolOrdered | CheckedIn | PatrolFound | PatrolEnded, who: Text) -> Text:
        match event:
            case PatrolOrdered():
                worker, points = self.who(event.worker), len(event.points)
                return Text(
                    f"{worker.en} was sent round {event.grid} past {points} points{self.until(event.until).en}.",
                    f"{worker.zh}巡查网格 {event.grid}，途经 {points} 个点位{self.until(event.until).zh}。",
                )
            case CheckedIn():
                metres = f"{event.distance_metres:.0f}"
                return Text(
                    f"{who.en} checked in at {event.point}, {metres} m from it.",
                    f"{who.zh}在 {event.point} 签到，相距 {metres} 米。",
                )
            case PatrolFound():
                what = self.category(event.category)
                return Text(
                    f"{who.en} found {what.en}: case {event.case_id}.",
                    f"{who.zh}发现{what.zh}：案件 {event.case_id}。",
                )
            case PatrolEnded():
                passed, missed = len(event.passed), len(event.missed)
                return Text(
                    f"The patrol ended: {passed} points passed, {missed} missed.",
                    f"巡查结束：到位 {passed} 个点位，漏巡 {missed} 个。",
                )
            case _:
                assert_never(event)
