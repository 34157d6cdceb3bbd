"""The example of each event that is kept for ever."""

from pathlib import Path
from typing import Final

from cli.stack.state import repository
from libs.events.contracts.acts import ActRefused
from libs.events.contracts.base import Event, contract_uri
from libs.events.envelope import Envelope, envelope_class
from libs.events.testing.examples import CASE_ID, EXAMPLES, REPORTED_AT, envelope_of

GOLDEN: Final = repository() / "tests" / "golden"
TOLD: Final[tuple[type[Event], ...]] = (ActRefused,)
"""What is told to others and stands in no case."""
_ENVELOPE: Final = envelope_class(ActRefused)
_REFUSED: Final = ActRefused(
    department="No Q",
    act="no-q-2026-03-02-0017",
    verb="handle",
    case_id=CASE_ID,
    received_at=REPORTED_AT,
    code="not_accepted",
    field="subject",
    reason="Sign for the case before you report it handled.",
    reason_zh="请先签收，再报告处置完成。",
    allowed=("accept", "decline"),
)


def golden_path(event: type[Event]) -> Path:
    """Where an example of a released event is kept for ever."""
    return GOLDEN / f"{event.TYPE}.json"


def examples() -> dict[type[Event], Envelope]:
    """Each event's example in the order of a case's life; then those of what is told and stands in no case."""
    facts = {kind: envelope_of(event, version) for version, (kind, event) in enumerate(EXAMPLES.items(), 1)}
    return {**facts, ActRefused: _refusal()}


def _refusal() -> Envelope:
    like = envelope_of(next(iter(EXAMPLES.values())))
    about = {
        "source": ActRefused.SOURCE,
        "type": ActRefused.TYPE,
        "dataschema": contract_uri(ActRefused.TYPE),
        "causationid": _REFUSED.act,
        "data": _REFUSED,
    }
    return _ENVELOPE.model_validate({**dict(like), **about})
