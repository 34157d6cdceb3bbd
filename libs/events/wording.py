"""What people read of fixed terms: steps, reasons, ends, colours, each in English and Chinese."""

from typing import Final, NamedTuple

from libs.events.contracts.dispatch import EscalationReason, Step
from libs.events.contracts.evaluation import Outcome


class Text(NamedTuple):
    """One message in both languages."""

    en: str
    zh: str

    def then(self, *others: "Text") -> "Text":
        """This text, and the others after it."""
        parts = (self, *others)
        return Text(" ".join(each.en for each in parts if each.en), "".join(each.zh for each in parts))


NOTHING: Final = Text("", "")
STEPS: Final = {
    Step.ACKNOWLEDGE: Text("acknowledge it", "受理"),
    Step.SIGN: Text("sign for it", "签收"),
    Step.REPORT_IN: Text("report in", "报到"),
    Step.HANDLE: Text("handle it", "处置"),
    Step.VERIFY: Text("verify it", "核查"),
}
"""What somebody must do."""
REASONS: Final = {
    EscalationReason.NOT_ACKNOWLEDGED: Text("not acknowledged in time", "未按时受理"),
    EscalationReason.NO_UNIT: Text("no unit was free", "没有可调派的力量"),
    EscalationReason.NOT_SIGNED: Text("not signed for in time", "未按时签收"),
    EscalationReason.NOT_REPORTED_IN: Text("not reported in in time", "未按时报到"),
    EscalationReason.NOT_HANDLED: Text("not handled in time", "未按时处置"),
    EscalationReason.NOT_VERIFIED: Text("not verified in time", "未按时核查"),
    EscalationReason.LONG_OVERDUE: Text("long overdue", "长期超期"),
    EscalationReason.RETURNED_TWICE: Text("returned twice", "两次退回"),
    EscalationReason.FAILED_VERIFICATION_TWICE: Text("failed verification twice", "两次核查未通过"),
    EscalationReason.REOPENED: Text("reopened", "重新立案"),
    EscalationReason.BY_HAND: Text("by decision of the centre", "指挥中心决定"),
}
"""Why a case went up."""
OUTCOMES: Final = {
    Outcome.RESOLVED: Text("settled", "已解决"),
    Outcome.NOT_RESOLVED: Text("closed without being settled", "未能解决"),
    Outcome.WITHDRAWN: Text("withdrawn by the reporter", "诉求人已撤回"),
    Outcome.UNKNOWN: Text("closed, how is not known", "已结案，结果不详"),
}
"""How a case ended."""
COLOURS: Final = {"yellow": Text("yellow", "黄"), "red": Text("red", "红")}
"""Of cards."""
