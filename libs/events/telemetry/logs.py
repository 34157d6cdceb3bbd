"""Log lines: JSON or for a terminal, with the trace that they belong to, and nothing that says who somebody is."""

import logging
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import orjson
import structlog
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from libs.events.settings import TelemetrySettings
from libs.events.telemetry.traces import UNRECORDED

PERSONAL_FIELDS: Final = frozenset(
    {"name", "description", "text", "note", "notes", "remark", "address"}
    | {"body", "payload", "data", "headers"}
)
"""Fields of log lines that are hidden when they have exactly this name."""
PERSONAL_WORDS: Final = frozenset(
    {"reporter", "phone", "telephone", "mobile", "mail", "email", "contact", "tracking"}
    | {"password", "secret", "authorization", "cookie", "dsn"}
)
"""Fields of log lines that are hidden when one of these words is in their name."""
HIDDEN: Final = "[hidden]"
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_QUOTED_INPUT: Final = re.compile(r"input_value=.*?(?=, input_type=|$)", re.DOTALL)
_PLAIN: Final = (str, int, float, bool, type(None), datetime, date, timedelta, UUID, Enum, Path)


class _Routed:
    """Where lines of other libraries go."""

    handler: logging.Handler | None = None


_ROUTED: Final = _Routed()


def configure_logs(service: str, settings: TelemetrySettings) -> None:
    """Lines of this process, and of the libraries in it, go to stderr from now on."""
    on_terminal = sys.stderr.isatty()
    as_console = settings.log_format == "console" or (settings.log_format == "auto" and on_terminal)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        partial(_add_service_and_trace, service),
        structlog.processors.ExceptionRenderer(_render_exception),
        hide_personal_data,
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer(colors=on_terminal) if as_console else _render_json
    structlog.configure(
        processors=[*chain, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    _route_standard_logging(chain, renderer, level)


def _route_standard_logging(chain: list[Processor], renderer: Processor, level: int) -> None:
    root = logging.getLogger()
    if _ROUTED.handler is not None:
        root.removeHandler(_ROUTED.handler)
    _ROUTED.handler = logging.StreamHandler(sys.stderr)
    _ROUTED.handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *chain],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root.addHandler(_ROUTED.handler)
    root.setLevel(level)


def _add_service_and_trace(service: str, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["service"] = service
    span = get_current_span()
    context = span.get_span_context()
    if context.is_valid and span is not UNRECORDED:
        event["trace_id"] = format_trace_id(context.trace_id)
        event["span_id"] = format_span_id(context.span_id)
    return event


def hide_personal_data(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide what may say who somebody is, or is a secret, whatever a line was given; its name stays."""
    return _hidden_in(event)


def _hidden_in(fields: Mapping[Any, object]) -> dict[str, object]:
    named = {str(key): value for key, value in fields.items()}
    # What begins with _ is structlog's own and never written.
    return {key: value if key.startswith("_") else _hidden(key, value) for key, value in named.items()}


def _hidden(key: str, value: object) -> object:
    if _is_personal(key):
        return HIDDEN
    match value:
        case str():
            return _QUOTED_INPUT.sub(f"input_value={HIDDEN}", value) if "input_value=" in value else value
        case dict():
            return _hidden_in(cast("dict[object, object]", value))
        case list() | tuple() | set() | frozenset():
            return [_hidden("", each) for each in cast("Iterable[object]", value)]
        case _:  # an object's text may hold anything: a line names its type
            return value if isinstance(value, _PLAIN) else f"<{type(value).__name__}>"


@lru_cache(maxsize=1_024)
def _is_personal(key: str) -> bool:
    words = {word.lower() for word in _WORD.findall(key)}
    return key.lower() in PERSONAL_FIELDS or not words.isdisjoint(PERSONAL_WORDS)


def _render_exception(exc_info: ExcInfo) -> str:
    return "".join(traceback.format_exception(*exc_info)).rstrip()


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
