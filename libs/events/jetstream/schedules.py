"""Messages that the server delivers to itself later (ADR-51): how one is put up, replaced and taken down.

A subject holds one schedule: a later message there replaces it. When the time has come, the server stores the message
on its target and purges the whole subject of the schedule, also of a schedule that replaced it at that very moment:
whoever takes the delivered message must look whether another one ought to stand.
"""

from datetime import UTC, datetime

from libs.events.jetstream.client import Message


def scheduled(
    subject: str,
    payload: bytes,
    *,
    at: datetime,
    target: str,
    kept_seconds: int,
    last_sequence: int | None = None,
) -> Message:
    """Puts *payload* on *target* at *at* (at once when that is past), where it stays for *kept_seconds*.

    Stored only while the newest message on *subject* is *last_sequence* (0: there is none), if that is given.
    """
    headers = {
        "Nats-Schedule": f"@at {at.astimezone(UTC).isoformat()}",
        "Nats-Schedule-Target": target,
        "Nats-Schedule-TTL": f"{kept_seconds}s",
    }
    return Message(subject, payload, headers | _only_after(last_sequence))


def unscheduled(subject: str, *, kept_seconds: int, last_sequence: int | None = None) -> Message:
    """Takes the schedule on *subject* down: an empty message in its place, which goes after *kept_seconds*.

    Purging would need rights over the whole stream, and could not be made to depend on *last_sequence*.
    """
    headers = {"Nats-Rollup": "sub", "Nats-TTL": f"{kept_seconds}s"}
    return Message(subject, b"", headers | _only_after(last_sequence))


def _only_after(last_sequence: int | None) -> dict[str, str]:
    return {} if last_sequence is None else {"Nats-Expected-Last-Subject-Sequence": str(last_sequence)}
