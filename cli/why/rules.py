"""What an explanation is made of: a rule with its place in the rule book, and why something cannot be decided again."""

from enum import Enum
from typing import Final, NamedTuple, Self

from libs.events.wording import Text


class Rule(NamedTuple):
    """One rule that a decision went by."""

    name: str
    """Where it stands, such as `responsibility/pipes`."""
    text: Text


class ByRule:
    """What is said where no single rule decided."""

    HAND: Final = Rule(
        "by hand",
        Text("somebody decided it; the rules only allowed it", "由人员决定，规则仅作允许"),
    )


class NotAgain(NamedTuple):
    """Why a decision is not made once more."""

    reason: Text

    @classmethod
    def unknown(cls) -> Self:
        """A fact of which it is not known here what asks for it."""
        return cls(Text("this kind of fact is not decided again here", "此类记录不作重算"))


class Verdict(Enum):
    """What came of deciding again."""

    SAME = "same"
    DIFFERENT = "different"
    REFUSED = "refused"
    """Under these rules and facts it would be refused now."""
    NOTHING = "nothing"
    """It would add nothing now."""
    NOT_DECIDED = "not_decided"
