"""How a department hears that an act was not carried out: an event on its own subject, once for each act."""

from datetime import UTC, datetime
from typing import Final

from libs.events.contracts.acts import ActRefused
from libs.events.contracts.base import contract_uri
from libs.events.envelope import Context, Envelope, encode, envelope_class
from libs.events.ids import derived_event_id
from libs.events.jetstream import JetStream, Message, expectation
from libs.events.subjects import DEPARTMENTS, refused_subject
from services.dispatch.inbox.documents import Act, Unclear
from services.dispatch.inbox.faults import Wrong

NO_CASE: Final = "none"
"""Stands in the subject for a case that could not be read."""
LOOKED_AT_MAX: Final = 200
"""Refusals in one case that are searched for one act's; beyond them it could be refused twice."""
_ENVELOPE: Final = envelope_class(ActRefused)


def refusal_of(
    act: Act | Unclear, wrong: Wrong, allowed: tuple[str, ...], *, received_at: datetime, context: Context
) -> Envelope:
    """The refusal of an act, the same whenever it is made anew but for its time."""
    event_id = refusal_id(act, received_at)
    return _ENVELOPE(
        id=event_id,
        source=ActRefused.SOURCE,
        type=ActRefused.TYPE,
        subject=act.case_id or NO_CASE,
        time=context.time,
        dataschema=contract_uri(ActRefused.TYPE),
        recordedtime=datetime.now(UTC),
        origin=context.origin,
        actor=context.actor,
        correlationid=context.correlation_id or event_id,
        causationid=act.id,
        policyversion=context.policy_version,
        data=ActRefused(
            department=act.department,
            act=act.id,
            verb=act.verb,
            case_id=act.case_id,
            received_at=received_at,
            code=str(wrong.code),
            field=wrong.field,
            reason=wrong.reason,
            reason_zh=wrong.reason_zh,
            allowed=allowed,
        ),
    )


def refusal_id(act: Act | Unclear, received_at: datetime) -> str:
    """The id of the one refusal that an act can have; without an id of its own, the moment it came stands for it."""
    own = act.id or f"at {received_at.astimezone(UTC).isoformat()}"
    return derived_event_id("act-refused", act.department, act.case_id or NO_CASE, own)


class Refusals:
    """The refusals in `DEPARTMENTS`, over a connection to the account BUS."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream

    async def say(self, department: str, refusal: Envelope) -> None:
        """Store it for the department; saying it twice adds nothing.  Raises NotNow, Unknown or Refused."""
        subject = refused_subject(department, refusal.subject)
        await self._jetstream.publish(Message(subject, encode(refusal), expectation(refusal.id)))

    async def said(self, act: Act, received_at: datetime) -> bool:
        """Whether the act was refused already.  Raises NotNow, Unknown or Refused."""
        wanted, subject = refusal_id(act, received_at), refused_subject(act.department, act.case_id)
        start = 1
        for _ in range(LOOKED_AT_MAX):
            found = await self._jetstream.next_on_leader(DEPARTMENTS, subject, start)
            if found is None:
                return False
            if found.message_id == wanted:
                return True
            start = found.sequence + 1
        return False
