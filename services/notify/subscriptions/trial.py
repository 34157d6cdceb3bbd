"""The event that only shows an integrator that everything is set up.  Pure."""

from datetime import datetime
from typing import Final

import orjson

TEST_TYPE: Final = "whistle.webhook.test.v1"


def trial_event(event_id: str, subscription_id: str, now: datetime) -> str:
    """A CloudEvent that tells of nothing."""
    document = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/notify",
        "type": TEST_TYPE,
        "subject": subscription_id,
        "time": now,
        "datacontenttype": "application/json",
        "data": {"message": "It works.", "message_zh": "连接正常。"},
    }
    return orjson.dumps(document).decode()
