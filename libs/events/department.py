"""A department on the bus: what is new of its cases, in order, and what it says of them.

    async with Department.connected("water", url="tls://bus.city:4222", seed=Path("water.nk")) as department:
        async for case in department.cases():
            await case.accept()

What was handed out comes again unless the body of the loop went on to the next case, also after a crash on either side;
after a crash it may come again even so. Acts are kept by the bus when they return; sent again with the same id they add
nothing. One process at a time should listen for a department: two hear some news both, and share the rest.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import orjson
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from libs.events.ahead import Ahead, Next, Order
from libs.events.contracts.acts import ActRefused
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Assigned, Summoned
from libs.events.envelope import Envelope, decode, envelope_class
from libs.events.errors import AskRefused, LogUnavailable
from libs.events.ids import new_event_id
from libs.events.jetstream import (
    Code,
    JetStream,
    Message,
    NotNow,
    Refused,
    Unknown,
    as_library_error,
    connected,
)
from libs.events.jetstream.backlog import Backlog
from libs.events.jetstream.pull import PullConsumer
from libs.events.subjects import (
    DEPARTMENT_API_PREFIX,
    DEPARTMENTS,
    act_subject,
    ask_subject,
    department_inbox,
    token,
)

log = structlog.get_logger(__name__)

AT_ONCE_MAX: Final = 100
"""News that are fetched ahead of the loop."""
ANSWER_SECONDS_MAX: Final = 10.0
TAKEN_SECONDS_MAX: Final = 60.0
"""So long an act is sent again while the bus is away or has too many acts of this department."""
AGAIN_FIRST_SECONDS: Final = 0.05
AGAIN_SECONDS_MAX: Final = 2.0
_REFUSED: Final = envelope_class(ActRefused)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The bus has the act, and will not lose it; what becomes of it shows in the case, or in an `ActRefused`."""

    act: str
    """The act's id."""
    sequence: int
    """Its place among the acts of all departments."""


@dataclass(slots=True)
class Case:
    """One piece of news of a case, and what can be said to it."""

    department: "Department"
    envelope: Envelope
    redelivered: bool
    """It may have been handed out before."""
    _acts: int = 0

    @property
    def id(self) -> str:
        """The case id; `none` for a refusal of what was about no case."""
        return self.envelope.subject

    @property
    def event(self) -> Event:
        """What happened: `Assigned`, `Recalled`, `Summoned`, `DueSoon` ..., or `ActRefused`."""
        return self.envelope.data

    @property
    def is_refusal(self) -> bool:
        """Whether it says that an act was refused, and is no fact of the case."""
        return isinstance(self.event, ActRefused)

    async def accept(self) -> Receipt:
        """Sign for it (签收)."""
        return await self.act("accept")

    async def decline(self, reason: str) -> Receipt:
        """Return it: it is not this department's (退回)."""
        return await self.act("decline", reason=reason)

    async def report_in(self, officer: str, note: str = "") -> Receipt:
        """Be there, called by a whistle (报到)."""
        return await self.act("report-in", officer=officer, note=note)

    async def progress(self, note: str, photos: Sequence[str] = ()) -> Receipt:
        """Tell how far it is."""
        return await self.act("progress", note=note, photos=list(photos))

    async def extend(self, until: datetime, reason: str) -> Receipt:
        """Ask for more time (延期); *until* has a zone."""
        return await self.act("extend", until=until.isoformat(), reason=reason)

    async def handle(self, note: str = "", photos: Sequence[str] = ()) -> Receipt:
        """Report it handled (处置)."""
        return await self.act("handle", note=note, photos=list(photos))

    async def act(self, verb: str, **said: Any) -> Receipt:
        """Any verb.  Raises LogUnavailable or LogRefused.

        The id follows from the news and from what was said to it before: whoever dies in the body of the loop, and says
        the same again, says it once.
        """
        self._acts += 1
        act_id = f"{self.envelope.id}.{self._acts}"
        return await self.department.act(verb, self.id, said, act_id=act_id)

    async def ask(self, verb: str, **said: Any) -> tuple[str, ...]:
        """The same, answered at once: see `Department.ask`."""
        return await self.department.ask(verb, self.id, said)


@dataclass(slots=True)
class Department:
    """A department's connection.  Open it with `connected`."""

    code: str
    client: Client
    _jetstream: JetStream = field(init=False)
    _open: list[Backlog] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._jetstream = JetStream(self.client, api_prefix=DEPARTMENT_API_PREFIX)

    @classmethod
    @asynccontextmanager
    async def connected(cls, code: str, *, url: str, seed: str | Path) -> AsyncGenerator[Self]:
        """The department with this code, signed in by the *seed* of its nkey, or the file that holds it.

        Connects again by itself for as long as it is open.  Raises OSError or ValueError for a seed that is none.
        """
        text = await asyncio.to_thread(_content, seed) if isinstance(seed, Path) else seed
        user, inbox = f"department-{token(code)}", department_inbox(code)
        async with connected(url, user=user, seed=text, inbox=inbox) as client:
            department = cls(code, client)
            try:
                yield department
            finally:
                for backlog in department._open:  # whoever left the loop in the middle of it
                    await backlog.close()

    async def cases(self) -> AsyncGenerator[Case]:
        """What begins for the department: cases that were assigned to it, or to which a whistle calls it.

        All other news are passed over, refusals with a line in the log; `news` gives everything.
        """
        async with aclosing(self.news()) as news:
            async for case in news:
                if isinstance(case.event, Assigned | Summoned):
                    yield case
                elif isinstance(case.event, ActRefused):
                    log.warning("act_refused", case_id=case.id, code=case.event.code, verb=case.event.verb)

    async def news(self, *, at_once: bool = True) -> AsyncGenerator[Case]:
        """Everything that is said to the department, for ever, in the order of each case.

        What it was told before is not told again.  Without *at_once* it hears only what the bus delivers from what it
        keeps, which is in the order of all cases, and later.
        """
        name = token(self.code)
        pull = PullConsumer(self._jetstream, DEPARTMENTS, name, batch_messages_max=AT_ONCE_MAX)
        async with pull, Backlog(self._jetstream, pull, DEPARTMENTS, name) as backlog:
            self._open.append(backlog)
            async with aclosing(self._merged(backlog, at_once=at_once)) as merged:
                async for case in merged:
                    yield case

    async def _merged(self, backlog: Backlog, *, at_once: bool) -> AsyncGenerator[Case]:
        """What the backlog brings for certain, and what is sent on ahead of it; each once, in the order of its case."""
        wake, order, began = asyncio.Event(), Order(), time.time_ns()
        async with (
            Ahead(self.client, self.code if at_once else None, wake.set) as ahead,
            aclosing(backlog.deliveries()) as deliveries,
            Next(deliveries, wake.set) as kept,
        ):
            while True:
                wake.clear()
                if kept.is_there:
                    delivery = kept.take()
                    # Whoever listened before may have given it out ahead, which the bus does not know.
                    was_there = delivery.deliveries > 1 or delivery.stored_nanoseconds < began
                    case = self._case(delivery.payload, redelivered=was_there)
                    if case is not None and (case.is_refusal or order.gives_kept(case.id, case.envelope.id)):
                        yield case
                    await backlog.done(delivery)
                    kept.begin()
                if (sent := ahead.take()) is not None:
                    case = self._case(sent.payload, redelivered=False)
                    if case is not None and order.gives_ahead(case.id, case.envelope.id, sent.after):
                        yield case
                elif not kept.is_there:
                    await wake.wait()

    async def replay(
        self, *, since: datetime | None = None, after: int | None = None
    ) -> AsyncGenerator[tuple[int, Case]]:
        """What the department was told up to now with its position, from a moment or position on, else from the oldest.

        Nothing of it counts as heard by that.  Raises LogUnavailable, or AskRefused.
        """
        begin = {"since": since.isoformat()} if since else {}
        more = True
        while more:
            body = begin if after is None else {**begin, "after": after}
            answer = await self._answered("replay", body)
            after, more = answer["after"], answer["more"]
            for told in answer["events"]:
                case = self._case(orjson.dumps(told["event"]), redelivered=True)
                if case is not None:
                    yield told["position"], case

    async def left_off(self) -> int:
        """The position up to which all news were heard.  Raises LogUnavailable or LogRefused."""
        try:
            info = await self._jetstream.api(f"CONSUMER.INFO.{DEPARTMENTS}.{token(self.code)}")
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
        return int(info["ack_floor"]["stream_seq"])

    def _case(self, document: bytes, *, redelivered: bool) -> Case | None:
        try:
            is_refusal = orjson.loads(document).get("type") == ActRefused.TYPE
            envelope = _REFUSED.model_validate_json(document) if is_refusal else decode(document)
        except ValueError as error:  # newer than this code, which must not stop for it
            log.warning("news_not_understood", reason=str(error))
            return None
        return Case(self, envelope, redelivered=redelivered)

    async def act(
        self, verb: str, case_id: str, said: Mapping[str, Any] | None = None, *, act_id: str | None = None
    ) -> Receipt:
        """Have the bus take an act for good; sent again with the same id it adds nothing.

        While the bus is away, or holds as many acts of this department as it takes, it is sent again.
        Raises LogUnavailable after TAKEN_SECONDS_MAX: it may have been taken; LogRefused for what it never takes.
        """
        act_id = act_id or new_event_id()
        document = self._document(verb, case_id, said or {}, act_id)
        message = Message(act_subject(self.code, verb), orjson.dumps(document), {})
        delay, reason = AGAIN_FIRST_SECONDS, ""
        loop = asyncio.get_running_loop()
        until = loop.time() + TAKEN_SECONDS_MAX
        while loop.time() < until:
            try:
                return Receipt(act_id, await self._jetstream.publish(message))
            except (NotNow, Unknown) as error:
                reason = str(error)
            except Refused as refused:
                if refused.code != Code.STREAM_FULL:
                    raise as_library_error(refused) from refused
                reason = str(refused)
            await asyncio.sleep(delay)
            delay = min(delay * 2, AGAIN_SECONDS_MAX)
        raise LogUnavailable(f"the bus has not taken act {act_id}: {reason}")

    def _document(self, verb: str, case_id: str, said: Mapping[str, Any], act_id: str) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": act_id,
            "source": f"/departments/{self.code}",
            "type": f"whistle.act.{verb}.v1",
            "subject": case_id,
            "time": datetime.now(UTC).isoformat(),
            "datacontenttype": "application/json",
            "data": dict(said),
        }

    async def ask(self, verb: str, case_id: str, said: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """The same, answered at once, and not kept: the ids of the facts that it added, none when it was done before.

        Raises AskRefused, or LogUnavailable when no answer came; asking again is safe.
        """
        answer = await self._answered(verb, {"case_id": case_id, **(said or {})})
        return tuple(answer["event_ids"])

    async def _answered(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            reply = await self.client.request(
                ask_subject(self.code, verb), orjson.dumps(body), timeout=ANSWER_SECONDS_MAX
            )
        except (NatsError, OSError) as error:
            raise LogUnavailable(str(error) or type(error).__name__) from error
        answer: dict[str, Any] = orjson.loads(reply.data)
        if answer["ok"]:
            return answer
        refused = answer["error"]
        if refused["code"] == "log_unavailable":
            raise LogUnavailable(refused["reason"])
        raise AskRefused(refused["code"], refused["reason"], refused["reason_zh"], refused["field"])


def _content(seed: Path) -> str:
    return seed.read_text(encoding="utf-8").strip()
