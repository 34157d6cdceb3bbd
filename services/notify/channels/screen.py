"""The channel that is always there: a structured line in the stream `NOTICES`, and one on the screen."""

from datetime import UTC, datetime
from typing import Final

import orjson
import structlog

from libs.events import faults
from libs.events.ids import derived_event_id
from libs.events.jetstream import Code, JetStream, Message, Refused, expectation
from services.notify.deciding.notices import Notice

log = structlog.get_logger(__name__)

SCREEN: Final = "screen"
TYPE: Final = "whistle.notice.told.v1"


class Screen:
    """Tells on the screen, once: the stream decides whether it was told before."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream

    async def tell(self, notice: Notice) -> bool:
        """Whether it was told now; False when it had been told.  Raises NotNow, Unknown or Refused."""
        try:
            await self._jetstream.publish(_message(notice))
        except Refused as refused:
            if refused.code == Code.WRONG_LAST_SEQUENCE:
                return False
            raise
        await faults.reach("notify.told")
        log.info("notice_told", case_id=notice.case_id, occasion=notice.occasion, recipient=notice.recipient)
        return True


def _message(notice: Notice) -> Message:
    # One subject for each cause, expected to be empty: the duplicate window alone would forget after minutes.
    subject = f"notice.{notice.case_id}.{SCREEN}.{notice.version}"
    notice_id = derived_event_id("notice", SCREEN, notice.cause_id)
    document = {
        "specversion": "1.0",
        "id": notice_id,
        "source": "/notify",
        "type": TYPE,
        "subject": notice.case_id,
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "causationid": notice.cause_id,
        "data": {
            "channel": SCREEN,
            "recipient": notice.recipient,
            "occasion": notice.occasion,
            "text": notice.text,
            "text_zh": notice.text_zh,
        },
    }
    return Message(subject, orjson.dumps(document), expectation(notice_id, subject))
