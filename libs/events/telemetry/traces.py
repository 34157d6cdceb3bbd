"""Spans: what was appended, what followed from it, what was asked and answered."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes, AttributeValue

from libs.events.subjects import CASES
from libs.events.telemetry.metrics import (
    ANSWER_SECONDS,
    APPEND_ERRORS,
    ASK_SECONDS,
    append_seconds,
    reaction_seconds,
)

if TYPE_CHECKING:
    from contextvars import Token

CASE_TEMPLATE: Final = "case.{case_id}.{event}.{n}"
ASK_TEMPLATE: Final = "ask.{department}.{verb}"


class Tracing:
    """Where spans are made; the tracer is None while nobody takes them."""

    tracer: Tracer | None = None


TRACING: Final = Tracing()
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_NO_PARENT: Final = Context()
UNRECORDED: Final = NonRecordingSpan(SpanContext(trace_id=1, span_id=1, is_remote=False))
"""Stands as the current span where a trace is not recorded, so that nothing below it begins one."""
_WITHIN_UNRECORDED: Final = set_span_in_context(UNRECORDED, _NO_PARENT)


class FollowLinks(Sampler):
    """A reaction to a recorded fact is recorded too; a trace that begins here is, at the ratio given."""

    def __init__(self, ratio: float) -> None:
        self._new = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        sampler = ALWAYS_ON if links else self._new
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"FollowLinks({self._new.get_description()})"


class Work:
    """Something under way: measured, and traced where there is a trace.  Use it as a context manager."""

    __slots__ = ("_context", "_observe", "_span", "_started", "_token", "traceparent")

    def __init__(
        self, observe: Callable[[float], None], span: Span | None = None, context: Context | None = None
    ) -> None:
        """*context*, when given, is the current one while the work is under way."""
        self.traceparent: str | None = _traceparent_of(set_span_in_context(span)) if span else None
        """What to send along so that others can refer to this; None where nothing is recorded."""
        self._observe = observe
        self._span = span
        self._context = context
        self._token: Token[Context] | None = None
        self._started = 0.0

    def __enter__(self) -> Self:
        if self._context is not None:
            self._token = attach(self._context)
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._observe(time.perf_counter() - self._started)
        if self._span is not None:
            if isinstance(error, Exception):  # being cancelled is no error
                mark_failed(self._span, type(error).__name__)
            self._span.end()
        if self._token is not None:
            detach(self._token)


class AppendSpan(Work):
    """An append under way."""

    __slots__ = ("_event_name",)

    def __init__(self, event_name: str, span: Span | None) -> None:
        super().__init__(append_seconds(event_name).observe, span)
        self._event_name = event_name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if isinstance(error, Exception):
            APPEND_ERRORS.labels(self._event_name, type(error).__name__).inc()


def appending(case_id: str, event_name: str, event_id: str) -> AppendSpan:
    """The append of a decision, named by its last event; its `traceparent` belongs into the envelopes."""
    if TRACING.tracer is None or _is_within_unrecorded():
        return AppendSpan(event_name, None)
    attributes = _message_attributes("send", case_id, event_name, event_id)
    return AppendSpan(event_name, begin(f"send {CASE_TEMPLATE}", SpanKind.PRODUCER, attributes))


def processing(service: str, case_id: str, event_name: str, event_id: str, traceparent: str | None) -> Work:
    """What *service* does about one event: linked to the append of it, parent of the commands inside."""
    observe = reaction_seconds(service, event_name).observe
    if TRACING.tracer is None:
        return Work(observe)
    cause = get_current_span(context_of(traceparent)).get_span_context()
    if not cause.trace_flags.sampled:
        return Work(observe, None, _WITHIN_UNRECORDED)
    attributes = _message_attributes("process", case_id, event_name, event_id)
    attributes["messaging.consumer.group.name"] = service
    span = begin(f"process {CASE_TEMPLATE}", SpanKind.CONSUMER, attributes, _NO_PARENT, (Link(cause),))
    return Work(observe, span, within(span))


def asking(verb: str) -> Work:
    """A request on `ask.<department>.<verb>`, where it is asked; its `traceparent` is to be sent along."""
    observe = ASK_SECONDS.labels(verb).observe
    if TRACING.tracer is None or _is_within_unrecorded():
        return Work(observe)
    return Work(observe, begin(f"request {ASK_TEMPLATE}", SpanKind.CLIENT, _ask_attributes("request", verb)))


def serving(verb: str, traceparent: str | None) -> Work:
    """A request on `ask.<department>.<verb>`, where it is answered; *verb* is one that the service knows."""
    observe = ANSWER_SECONDS.labels(verb).observe
    if TRACING.tracer is None:
        return Work(observe)
    attributes = _ask_attributes("answer", verb)
    span = begin(f"answer {ASK_TEMPLATE}", SpanKind.SERVER, attributes, context_of(traceparent))
    return Work(observe, span, within(span))


def begin(
    name: str,
    kind: SpanKind,
    attributes: Mapping[str, AttributeValue],
    parent: Context | None = None,
    links: Sequence[Link] = (),
) -> Span | None:
    """A span that is recorded, below *parent* (by default the current one); or None."""
    if TRACING.tracer is None:
        return None
    span = TRACING.tracer.start_span(name, parent, kind, attributes, links)
    return span if span.is_recording() else None


def mark_failed(span: Span, error_type: str) -> None:
    """The span ended with an error."""
    # The type only: the text of an exception may quote what a person wrote.
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)


def _message_attributes(
    operation: str, case_id: str, event_name: str, event_id: str
) -> dict[str, AttributeValue]:
    return {
        "messaging.system": "nats",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": CASES,
        "messaging.destination.template": CASE_TEMPLATE,
        "messaging.message.id": event_id,
        "whistle.event": event_name,
        "whistle.case_id": case_id,
    }


def _ask_attributes(operation: str, verb: str) -> dict[str, AttributeValue]:
    return {
        "messaging.system": "nats",
        "messaging.operation.name": operation,
        "messaging.operation.type": "send" if operation == "request" else "process",
        "messaging.destination.template": ASK_TEMPLATE,
        "whistle.verb": verb,
    }


def _is_within_unrecorded() -> bool:
    context = get_current_span().get_span_context()
    return context.is_valid and not context.trace_flags.sampled


def within(span: Span | None) -> Context:
    """What is current inside *span*; inside None, nothing below begins a trace."""
    return set_span_in_context(span) if span is not None else _WITHIN_UNRECORDED


def context_of(traceparent: str | None) -> Context:
    """What somebody else's `traceparent` refers to; for None, or one that is none, no parent."""
    return _PROPAGATOR.extract({"traceparent": traceparent}, _NO_PARENT) if traceparent else _NO_PARENT


def _traceparent_of(context: Context | None) -> str | None:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context)
    return carrier.get("traceparent")
