"""What dispatch does about a fact: an event in, a command out.  Pure."""

from datetime import datetime

from libs.events.contracts.evaluation import CaseReopened, HandlingReturned
from libs.events.contracts.intake import CaseAdopted, CaseFiled
from libs.events.envelope import Entry, Origin
from libs.events.policy import RuleBook
from services.dispatch.decider import Assign, Command, RaiseFailed


def react(entry: Entry, rules: RuleBook, now: datetime) -> Command | None:
    """The command that a fact causes, if it causes one.  Imported and replayed history starts no work."""
    if entry.envelope.origin is not Origin.LIVE:
        return None
    match entry.event:
        case CaseFiled() | CaseAdopted() | CaseReopened():
            return Assign(rules, now)
        case HandlingReturned():
            return RaiseFailed(rules)
        case _:
            return None
