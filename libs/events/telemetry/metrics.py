"""What is counted and measured: one registry for the process, kept by prometheus_client."""

from functools import cache
from typing import Final

import prometheus_client as prometheus

DURATION_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)

prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
REGISTRY: Final = prometheus.CollectorRegistry()


def _seconds(name: str, what: str, *labels: str) -> prometheus.Histogram:
    return prometheus.Histogram(name, what, labels, registry=REGISTRY, buckets=DURATION_SECONDS)


_APPEND_SECONDS: Final = _seconds(
    "whistle_append_duration_seconds", "Until the log's definite answer.", "event"
)
APPEND_ERRORS: Final = prometheus.Counter(
    "whistle_append_errors", "Appends that ended with an exception.", ("event", "error"), registry=REGISTRY
)
_CONFLICTS: Final = prometheus.Counter("whistle_conflicts", "Appends that lost a race.", registry=REGISTRY)
_REACTION_SECONDS: Final = _seconds(
    "whistle_reaction_duration_seconds", "Handling one event, commands included.", "service", "event"
)
_CONSUMED: Final = prometheus.Counter(
    "whistle_consumed_events", "Events taken from the log.", ("service", "event"), registry=REGISTRY
)
_PARKINGS: Final = prometheus.Counter(
    "whistle_parkings", "How often a case was parked.", ("service",), registry=REGISTRY
)
_NOTICE_ATTEMPTS: Final = prometheus.Counter(
    "whistle_notice_attempts",
    "Attempts to deliver a notice.",
    ("channel", "outcome"),
    registry=REGISTRY,
)
_PARKED: Final = prometheus.Gauge(
    "whistle_parked_cases", "Cases that wait for a person.", ("service",), registry=REGISTRY
)
_LAG: Final = prometheus.Gauge(
    "whistle_lag_events", "Events up to the end of the log.", ("service",), registry=REGISTRY
)
_PROJECTED: Final = prometheus.Counter(
    "whistle_projected_events", "Events applied to read models.", ("service",), registry=REGISTRY
)
_PROJECTION_SECONDS: Final = _seconds(
    "whistle_projection_batch_duration_seconds", "One transaction of the read models.", "service"
)
_LOOKUPS_SKIPPED: Final = prometheus.Counter(
    "whistle_duplicate_lookups_skipped",
    "Reports for which no near-duplicate could be looked for.",
    registry=REGISTRY,
)
_LEDGER_SEALED: Final = prometheus.Counter(
    "whistle_ledger_sealed_events", "Events put into sealed files.", ("stream",), registry=REGISTRY
)
_LEDGER_SIZE: Final = prometheus.Gauge(
    "whistle_ledger_size_events", "Events in the tree.", ("stream",), registry=REGISTRY
)
_LEDGER_LAG: Final = prometheus.Gauge(
    "whistle_ledger_lag_events", "Events of the log that are not sealed.", ("stream",), registry=REGISTRY
)
_LEDGER_CHECKPOINT: Final = prometheus.Gauge(
    "whistle_ledger_checkpoint_timestamp_seconds",
    "When the newest checkpoint was signed.",
    ("stream",),
    registry=REGISTRY,
)
_LEDGER_REFUSED: Final = prometheus.Gauge(
    "whistle_ledger_refused", "1 while nothing of the stream is sealed.", ("stream",), registry=REGISTRY
)
_LEDGER_WITNESS_BEHIND: Final = prometheus.Gauge(
    "whistle_ledger_witness_behind_events",
    "Signed events that a witness has not cosigned.",
    ("stream", "witness"),
    registry=REGISTRY,
)
_LEDGER_WITNESS_CONTRADICTS: Final = prometheus.Gauge(
    "whistle_ledger_witness_contradicts",
    "1 while a witness says that history was forked.",
    ("stream", "witness"),
    registry=REGISTRY,
)
ASK_SECONDS: Final = _seconds("whistle_ask_duration_seconds", "A request to ask.>, from who asks.", "verb")
ANSWER_SECONDS: Final = _seconds(
    "whistle_answer_duration_seconds", "A request to ask.>, from who answers.", "verb"
)
HTTP_SECONDS: Final = _seconds(
    "whistle_http_request_duration_seconds", "A request over HTTP.", "route", "method", "status"
)


@cache  # finding the child by its labels costs more than observing
def append_seconds(event_name: str) -> prometheus.Histogram:
    """How long appends of this event take."""
    return _APPEND_SECONDS.labels(event_name)


@cache
def reaction_seconds(service: str, event_name: str) -> prometheus.Histogram:
    """How long *service* takes to handle this event."""
    return _REACTION_SECONDS.labels(service, event_name)


def count_conflict() -> None:
    """One append lost a race and is decided again."""
    _CONFLICTS.inc()


def count_parked(service: str) -> None:
    """*service* parked a case."""
    _PARKINGS.labels(service).inc()


def count_notice_attempt(channel: str, outcome: str) -> None:
    """It was tried to deliver a notice."""
    _NOTICE_ATTEMPTS.labels(channel, outcome).inc()


def set_parked(service: str, cases: int) -> None:
    """So many cases wait for a person at *service*."""
    _PARKED.labels(service).set(cases)


def count_lookup_skipped() -> None:
    """No near-duplicate could be looked for: the read model was away."""
    _LOOKUPS_SKIPPED.inc()


def set_lag(service: str, events: int) -> None:
    """*service* is so many events behind the end of the log."""
    _LAG.labels(service).set(events)


def count_consumed(service: str, event_name: str, events: int = 1) -> None:
    """*service* took so many events of that name from the log."""
    _CONSUMED.labels(service, event_name).inc(events)


def observe_projection_batch(service: str, events: int, seconds: float) -> None:
    """*service* applied so many events to its read models in one transaction that took so long."""
    _PROJECTED.labels(service).inc(events)
    _PROJECTION_SECONDS.labels(service).observe(seconds)


def set_ledger_size(stream: str, events: int, more: int) -> None:
    """The tree of a stream has so many events, *more* of them just sealed."""
    _LEDGER_SIZE.labels(stream).set(events)
    _LEDGER_SEALED.labels(stream).inc(more)


def set_ledger_lag(stream: str, events: int) -> None:
    """So many events of a stream are not sealed."""
    _LEDGER_LAG.labels(stream).set(events)


def set_ledger_checkpoint(stream: str, timestamp: float) -> None:
    """A checkpoint of a stream was signed then, in seconds since 1970."""
    _LEDGER_CHECKPOINT.labels(stream).set(timestamp)


def set_ledger_refused(stream: str, *, refused: bool) -> None:
    """Whether the ledger refuses to seal a stream."""
    _LEDGER_REFUSED.labels(stream).set(refused)


def set_ledger_witness_behind(stream: str, witness: str, events: int) -> None:
    """A witness has not cosigned so many of the events that are signed."""
    _LEDGER_WITNESS_BEHIND.labels(stream, witness).set(events)


def set_ledger_witness_contradicts(stream: str, witness: str, *, contradicts: bool) -> None:
    """Whether a witness says that history was forked."""
    _LEDGER_WITNESS_CONTRADICTS.labels(stream, witness).set(contradicts)


def metrics_text() -> tuple[bytes, str]:
    """All metrics of this process for Prometheus, and the content type."""
    return prometheus.generate_latest(REGISTRY), prometheus.CONTENT_TYPE_LATEST
