"""What people read: each sentence in English and Chinese, with the names and the clocks of the city.  Pure."""

from datetime import datetime
from typing import Final

from libs.events.contracts.evaluation import Outcome
from libs.events.policy import Name, RuleBook
from libs.events.wording import NOTHING, Text

ENDINGS: Final = {
    Outcome.RESOLVED: Text("Your report has been settled.", "您的诉求已办结。"),
    Outcome.NOT_RESOLVED: Text("Your report was closed without being settled", "您的诉求已结案，但未能解决"),
    Outcome.WITHDRAWN: Text(
        "Your report was closed, since you withdrew it.", "您的诉求已按您的撤回要求结案。"
    ),
    Outcome.UNKNOWN: Text("Your report was closed.", "您的诉求已结案。"),
}


class Words:
    """Names and times as the people of one city read them."""

    def __init__(self, rules: RuleBook) -> None:
        self._rules = rules

    def time(self, moment: datetime) -> str:
        """By the city's clocks, to the minute."""
        return f"{self._rules.local(moment):%Y-%m-%d %H:%M}"

    def department(self, code: str) -> Text:
        """The department's name; its code when the rule book does not have it any more."""
        known = self._rules.department(code)
        return _named(known.name if known else None, code)

    def pause(self, code: str) -> Text:
        """Why the clock stands still."""
        known = next((pause for pause in self._rules.pauses if pause.code == code), None)
        return _named(known.name if known else None, code)

    def until(self, moment: datetime | None) -> Text:
        """`, by 2026-03-02 12:30`; nothing where there is no limit."""
        return Text(f", by {self.time(moment)}", f"，期限 {self.time(moment)}") if moment else NOTHING


def _named(name: Name | None, code: str) -> Text:
    return Text(name.en, name.zh) if name else Text(code, code)
