"""What all services have in common over HTTP: bounds, health, metrics, start and graceful stop."""

import asyncio
import re
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
import uvicorn
from fastapi import FastAPI, Request
from fastapi.openapi.constants import REF_PREFIX
from fastapi.routing import iter_route_contexts
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.events import telemetry
from libs.events.access import web as access_web
from libs.events.access.web import Access, SignIn
from libs.events.bodies import NUL
from libs.events.contract_routes import contract_routes
from libs.events.problems import BY_STATUS, HANDLERS, PROBLEM_TYPE, FieldProblem, Problem, problem

log = structlog.get_logger(__name__)

BODY_BYTES_MAX: Final = 256 * 1024
READY_SECONDS_MAX: Final = 3.0
STOP_SECONDS_MAX: Final = 10
KEEP_ALIVE_SECONDS: Final = 15
CONNECTIONS_MAX: Final = 4_000
CONNECTIONS_WAITING_MAX: Final = 1_024

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


# Middleware.


class BodyLimit:
    """ASGI middleware: answers 413 to a body of more than *body_bytes_max* bytes, announced or not.

    *larger* gives paths that take more.
    """

    def __init__(self, app: ASGIApp, body_bytes_max: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bytes_max = self._larger.get(scope["path"], self._body_bytes_max)
        if _announced_bytes(scope) > bytes_max:
            await self._too_large(bytes_max)(scope, receive, send)
            return
        received_bytes = 0

        async def count() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > bytes_max:
                raise HTTPException(413, self._reason(bytes_max))
            return message

        await self._app(scope, count, send)

    def _reason(self, bytes_max: int) -> str:
        return f"The body is larger than {bytes_max} bytes."

    def _too_large(self, bytes_max: int) -> Response:
        # The rest of the body is not read, so the connection cannot be used again.
        headers = {"Connection": "close"}
        code, title_zh = BY_STATUS[413]
        return problem(413, code, self._reason(bytes_max), title_zh, headers=headers)


def _announced_bytes(scope: Scope) -> int:
    for key, value in scope["headers"]:
        if key == b"content-length":
            return int(value) if value.isdigit() else 0  # the server refuses what is no number
    return 0


class NoNul:
    """ASGI middleware: answers 422 to an address with U+0000, which neither tables nor codes of the city have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and (NUL in scope["path"] or b"%00" in scope["query_string"]):
            reason, reason_zh = "An address has no character U+0000.", "地址不得含空字符。"
            field = "path" if NUL in scope["path"] else "query"
            wrong = FieldProblem(field=field, reason=reason, reason_zh=reason_zh)
            answer = problem(422, "not_valid", "The request is not valid.", "请求无效。", errors=[wrong])
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


class LastResort:
    """ASGI middleware: logs an exception that nobody foresaw, and answers 500 without telling any of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            log.exception("request_failed", method=scope["method"])
            answer = problem(500, "internal_error", "Something went wrong here.", "服务器内部错误。")
            await answer(scope, receive, send)


# Health.


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be right before a service may be asked."""

    name: str
    ok: bool
    detail: str = ""
    """For whoever runs the service; what looks like a password is hidden."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a service may be asked, and why."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every check is."""
        return all(check.ok for check in self.checks)


def lag_check(events: int, events_max: int) -> Check:
    """Whether a service that is *events* behind the log is close enough."""
    return Check("lag", events <= events_max, f"{events} events behind the log, at most {events_max}")


_SECRET: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?<=password=)\S+|(?<=password:)\s*\S+", re.IGNORECASE)


async def _readiness(ready: Callable[[], Awaitable[Readiness]]) -> Readiness:
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            return await ready()
    except TimeoutError:
        return Readiness((Check("answer", ok=False, detail=f"no answer in {READY_SECONDS_MAX:g} s"),))
    except Exception as error:  # whatever it is, the service is not ready and must say so
        log.warning("readiness_failed", exc_info=True)
        return Readiness((Check("answer", ok=False, detail=type(error).__name__),))


def _readiness_answer(readiness: Readiness) -> JSONResponse:
    checks = [
        {"name": check.name, "ok": check.ok, "detail": _SECRET.sub("[hidden]", check.detail)}
        for check in readiness.checks
    ]
    return JSONResponse({"ready": readiness.ok, "checks": checks}, 200 if readiness.ok else 503)


def _add_health(app: FastAPI, ready: Callable[[], Awaitable[Readiness]]) -> None:
    @app.get("/healthz", tags=["health"], summary="200 while the service runs")
    async def healthz() -> dict[str, bool]:
        return {"alive": True}

    @app.get(
        "/readyz", tags=["health"], summary="200 when the service may be asked, else 503; with every check"
    )
    async def readyz() -> JSONResponse:
        return _readiness_answer(await _readiness(ready))

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        text, content_type = telemetry.metrics_text()
        return Response(text, headers={"Content-Type": content_type})


# The application and its server.


class _Service(FastAPI):
    """FastAPI whose OpenAPI document tells the truth about errors."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            _, definitions = models_json_schema(
                [(Problem, "serialization")], ref_template=REF_PREFIX + "{model}"
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(definitions["$defs"])
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            content = {PROBLEM_TYPE: {"schema": {"$ref": f"{REF_PREFIX}Problem"}}}
            for path, operations in document["paths"].items():
                if path not in telemetry.UNTRACED_PATHS:
                    _describe_errors(operations, content)
            access_web.describe(document, self)
        assert self.openapi_schema is not None
        return self.openapi_schema


def _describe_errors(operations: dict[str, Any], content: dict[str, Any]) -> None:
    for operation in operations.values():
        responses = operation["responses"]
        responses.setdefault("default", {"description": "Anything else that is not a success"})
        for status, response in responses.items():
            is_error = status == "default" or status >= "400"
            # What a route says of its own errors stands; what the framework says of them is not so.
            if is_error and (status == "422" or "content" not in response):
                response["content"] = content


async def _on_http_error(request: Request, error: Exception) -> Response:
    """As for all; but the framework names the methods of the first route at an address alone."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = ", ".join(sorted(_methods_at(request.app, request.url.path)))
        error = HTTPException(405, error.detail, {"Allow": allowed})
    return await HANDLERS[HTTPException](request, error)


def _methods_at(app: FastAPI, path: str) -> set[str]:
    found: set[str] = set()
    for route in iter_route_contexts(app.routes):
        if route.path and compile_path(route.path)[0].match(path):
            found |= route.methods or set()
    return found


def service_app(
    title: str,
    ready: Callable[[], Awaitable[Readiness]],
    lifespan: Lifespan | None = None,
    *,
    access: Access | None = None,
    body_bytes_max: int = BODY_BYTES_MAX,
    larger_bodies: Mapping[str, int] | None = None,
) -> FastAPI:
    """An application with `/healthz`, `/readyz`, `/metrics`, `/contracts/`, `/openapi.json`, `/docs`; add the routes.

    *ready* is asked at each `/readyz`; raising, or taking more than READY_SECONDS_MAX, means not ready.
    The paths in *larger_bodies* take so many bytes.
    Without *access* nobody can sign in: only what is for anybody is answered.
    """
    app = _Service(title=title, lifespan=lifespan, redoc_url=None)
    for kind, handler in {**HANDLERS, **access_web.HANDLERS}.items():
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(HTTPException, _on_http_error)
    # The last added is the outermost: a request is measured with whatever answer it gets.
    app.state.access = access or Access()
    app.add_middleware(SignIn, access=app.state.access)
    app.add_middleware(NoNul)
    app.add_middleware(BodyLimit, body_bytes_max=body_bytes_max, larger=larger_bodies or {})
    app.add_middleware(LastResort)
    app.add_middleware(telemetry.HttpTelemetry)
    _add_health(app, ready)
    app.include_router(contract_routes())
    app.state.open_routes = frozenset(access_web.verbs_of(app))
    return app


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        # uvicorn raises the signal again when it has stopped, which would end the process before the rest of
        # it could stop; `serve` listens to signals itself.
        yield


async def serve(
    app: FastAPI, host: str, port: int, *, on_listening: Callable[[int], None] | None = None
) -> None:
    """Serve *app* until SIGTERM, SIGINT or cancelled; requests under way get STOP_SECONDS_MAX to end.

    Runs in a task group beside the service's other work: when it returns, stop the rest.  *on_listening* gets
    the port as soon as connections are taken.  Raises OSError when the address cannot be had, RuntimeError when
    a route was added that names no verb of the table of roles, and whatever the application's lifespan raises.
    """
    _check_guarded(app)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=CONNECTIONS_WAITING_MAX) as listener:
        server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",  # run here, so that what it raises is heard
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS_MAX,
            )
        )
        async with app.router.lifespan_context(app), _stopped_by_signals(server):
            bound_port: int = listener.getsockname()[1]
            log.info("http_listening", host=host, port=bound_port)
            if on_listening is not None:
                on_listening(bound_port)
            await _run(server, listener)
            log.info("http_stopped", host=host, port=bound_port)


def _check_guarded(app: FastAPI) -> None:
    """A route that forgot to ask who asks would be open to everybody: it is not served at all."""
    verbs = access_web.verbs_of(app)
    open_to_all = sorted(
        route for route, verb in verbs.items() if verb is None and route not in app.state.open_routes
    )
    if open_to_all:
        raise RuntimeError(f"these routes name no verb with may(...): {', '.join(open_to_all)}")


@asynccontextmanager
async def _stopped_by_signals(server: uvicorn.Server) -> AsyncGenerator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, server.handle_exit, each, None)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


async def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    running = asyncio.create_task(server.serve([listener]), name="http")
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        server.should_exit = True  # cancelled from outside: the same graceful stop as by a signal
        await asyncio.wait({running}, timeout=STOP_SECONDS_MAX + 1)
        running.cancel()
        raise
