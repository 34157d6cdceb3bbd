"""The same acts as request and reply on `ask.<department>.<verb>`, for departments on the bus."""

import asyncio
from typing import Any, Final, NamedTuple

import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pydantic import BaseModel, ValidationError

from libs.events import telemetry
from libs.events.bodies import Body, CaseId
from libs.events.errors import WhistleError
from libs.events.jetstream import JetStream
from libs.events.problems import FieldProblem
from libs.events.reasons import reason_zh
from libs.events.subjects import name_of
from services.dispatch.acts import Acts
from services.dispatch.bodies import DEPARTMENT_VERBS, DepartmentBody
from services.dispatch.decider import Refusal
from services.dispatch.reasons import REASONS
from services.dispatch.replaying import ReplayAsk, Replays
from services.dispatch.unit_routes import UnitAsk, Units

log = structlog.get_logger(__name__)

ASKS_AT_ONCE_MAX: Final = 500
QUEUE: Final = "dispatch"
CASE_ID: Final = "case_id"
UNAVAILABLE: Final = ("log_unavailable", "The log does not answer; ask again.", "系统暂时不可用，请重试。")
"""What is answered, by code and in both languages, while nothing can be known."""
UNIT: Final = "unit"
"""The verb with which a department's units report themselves; it is about no case."""
REPLAY: Final = "replay"
"""The verb with which a department reads again what it was told; it is about no case."""
ASKS: Final[dict[str, type[Body]]] = {**DEPARTMENT_VERBS, UNIT: UnitAsk, REPLAY: ReplayAsk}


class _Asked(BaseModel):
    """Which case it is about: over the bus the subject names only department and verb."""

    case_id: CaseId


async def answer_asks(client: Client, acts: Acts, units: Units) -> None:
    """Answer departments until cancelled; replicas share the work."""
    answers = _Answers(acts, units, Replays(JetStream(client)))
    room = asyncio.Semaphore(ASKS_AT_ONCE_MAX)
    async with asyncio.TaskGroup() as group:

        async def on_ask(message: Msg) -> None:
            # While ASKS_AT_ONCE_MAX are being answered the next ones wait in the connection.
            await room.acquire()
            group.create_task(_answer(message, answers)).add_done_callback(lambda _: room.release())

        subscription = await client.subscribe("ask.*.*", queue=QUEUE, cb=on_ask)
        try:
            await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            if client.is_connected:
                await subscription.unsubscribe()


class _Answers(NamedTuple):
    """Whoever knows what is asked for."""

    acts: Acts
    units: Units
    replays: Replays


async def _answer(message: Msg, answers: _Answers) -> None:
    _, encoded, verb = message.subject.split(".")
    if not message.reply:
        return  # nobody waits for an answer, and an act without one would be done behind the asker's back
    kind = ASKS.get(verb)
    traceparent = (message.headers or {}).get("traceparent")
    with telemetry.serving(verb if kind else "unknown", traceparent):
        answer = await _outcome(answers, encoded, kind, message.data)
    try:
        await message.respond(orjson.dumps(answer))
    except (NatsError, OSError) as error:
        log.warning("answer_lost", verb=verb, reason=str(error) or type(error).__name__)


async def _outcome(  # noqa: PLR0911 - one for each way to go wrong
    answers: _Answers, encoded: str, kind: type[Body] | None, data: bytes
) -> dict[str, object]:
    if kind is None:
        verbs = ", ".join(ASKS)
        return _error("unknown_verb", f"The verbs are: {verbs}.", f"可用操作：{verbs}。", "verb")
    try:
        department = name_of(encoded)
        if issubclass(kind, UnitAsk):
            return await _unit(answers.units, department, kind.model_validate_json(data))
        if issubclass(kind, ReplayAsk):
            return await answers.replays.answer(department, kind.model_validate_json(data))
        assert issubclass(kind, DepartmentBody), "what is neither is an act"
        case_id, body = _parsed(kind, data)
        outcome = await answers.acts.act(department, case_id, body)
    except ValidationError as error:
        return _invalid(error)
    except orjson.JSONDecodeError as error:
        return _error("not_valid", f"body: {error}", "不是有效的 JSON。")
    except WhistleError as error:
        log.warning("ask_not_answered", body=kind.__name__, reason=str(error))
        return _error(*UNAVAILABLE)
    except Exception:  # the asker must hear something, and one bad question must not end the service
        log.exception("ask_failed", body=kind.__name__)
        return _error("internal_error", "Something went wrong here.", "系统内部错误。")
    if isinstance(outcome, Refusal):
        reason = REASONS[outcome]
        return _error(outcome, reason.english, reason.chinese, reason.field)
    return {"ok": True, **outcome.model_dump()}


async def _unit(units: Units, department: str, ask: UnitAsk) -> dict[str, object]:
    outcome = await units.report(department, ask.unit, ask)
    if isinstance(outcome, FieldProblem):
        return _error("not_valid", outcome.reason, outcome.reason_zh, outcome.field)
    return {"ok": True, **outcome.model_dump(mode="json")}


def _parsed(kind: type[DepartmentBody], data: bytes) -> tuple[str, DepartmentBody]:
    said: Any = orjson.loads(data)
    case_id = _Asked.model_validate(said).case_id
    return case_id, kind.model_validate({name: value for name, value in said.items() if name != CASE_ID})


def _invalid(error: ValidationError) -> dict[str, object]:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or None
    return _error("not_valid", f"{field or 'body'}: {first['msg']}", reason_zh(first), field)


def _error(code: str, reason: str, reason_in_chinese: str, field: str | None = None) -> dict[str, object]:
    error = {"code": code, "field": field, "reason": reason, "reason_zh": reason_in_chinese}
    return {"ok": False, "error": error}
