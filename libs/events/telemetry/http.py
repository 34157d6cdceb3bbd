"""One span and one measurement for each request over HTTP."""

from typing import TYPE_CHECKING, Final

from opentelemetry.trace import Span, SpanKind

from libs.events.telemetry.metrics import HTTP_SECONDS
from libs.events.telemetry.traces import TRACING, Work, begin, context_of, mark_failed, within

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNTRACED_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SERVER_ERROR: Final = 500


class HttpTelemetry:
    """ASGI middleware: one SERVER span and one measurement for each request, named by its route.

    The path itself stays out: a tracking number in it is a secret.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"] in UNTRACED_PATHS:
            await self._app(scope, receive, send)
            return
        status = SERVER_ERROR  # what the client sees when nobody answers
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        span = _begin_request(scope, method)

        async def note_status(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        def observe(seconds: float) -> None:
            route = getattr(scope.get("route"), "path", "unmatched")
            HTTP_SECONDS.labels(route, method, str(status)).observe(seconds)
            if span is not None:
                _describe_response(span, method, route, status)

        context = None if TRACING.tracer is None else within(span)
        with Work(observe, span, context):
            await self._app(scope, receive, note_status)


def _begin_request(scope: "Scope", method: str) -> Span | None:
    if TRACING.tracer is None:
        return None
    given = next((value for key, value in scope["headers"] if key == b"traceparent"), b"")
    attributes = {"http.request.method": method, "url.scheme": scope.get("scheme", "http")}
    return begin(method, SpanKind.SERVER, attributes, context_of(given.decode("latin-1")))


def _describe_response(span: Span, method: str, route: str, status: int) -> None:
    span.update_name(f"{method} {route}")
    span.set_attributes({"http.route": route, "http.response.status_code": status})
    if status >= SERVER_ERROR:
        mark_failed(span, str(status))
