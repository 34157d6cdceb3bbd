"""One request to JetStream and its answer; what an answer means for a case is decided in `commit` and `log`."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Final, NamedTuple
from uuid import uuid4

import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, NoRespondersError

from libs.events.errors import LogRefused, LogUnavailable

log = structlog.get_logger(__name__)

REQUEST_TIMEOUT_SECONDS: Final = 5.0
CONNECT_TIMEOUT_SECONDS: Final = 5
RECONNECT_WAIT_SECONDS: Final = 0.2
PENDING_BYTES_MAX: Final = 16 * 1024 * 1024  # what may wait in this process while the server is away
BATCH_MESSAGES_MAX: Final = 1_000  # the server's own bound (ADR-50)
MULTI_LAST_SUBJECTS_MAX: Final = 1_024  # the server's own bound (ADR-31)


class Code(IntEnum):
    """The server's error codes that somebody acts on."""

    NOT_FOUND = 10_037
    WRONG_LAST_SEQUENCE = 10_071
    STREAM_NOT_FOUND = 10_059
    CONSUMER_NOT_FOUND = 10_014
    DUPLICATE_IN_BATCH = 10_201
    TOO_LARGE = 10_054
    STREAM_FULL = 10_077
    STORAGE_FULL = 10_047


# 'Not now', which says nothing about who else wrote: JetStream not ready, an expectation or a batch in flight,
# a batch that lost its beginning, too many open batches, too many requests.
NOT_NOW: Final = frozenset({10_008, 10_009, 10_023, 10_158, 10_164, 10_167, 10_176, 10_210})


class Message(NamedTuple):
    """One message to be stored."""

    subject: str
    payload: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """One message as the server keeps it."""

    subject: str
    sequence: int
    payload: bytes
    message_id: str | None
    traceparent: str | None


class Page(NamedTuple):
    """The answer to `multi_last`."""

    messages: tuple[Stored, ...]
    up_to: int
    """The position that the answer stands for; 0 when the server found nothing and names none."""
    complete: bool
    """False when there was more than the server gives at once: ask for less."""


class ConnectionLostError(NatsError):
    """The connection went away while an answer was waited for."""

    def __str__(self) -> str:
        return "the connection was lost"


class NotNow(Exception):
    """The server could not take it now; nothing was stored."""


class Unknown(Exception):
    """No answer: it may be stored or not."""


class Refused(Exception):
    """The server refused, and says why by a code."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.description = description


def expectation(message_id: str, filter_subject: str | None = None, last_sequence: int = 0) -> dict[str, str]:
    """The headers of a message that is stored once, and only while *filter_subject* ends at *last_sequence*."""
    headers = {"Nats-Msg-Id": message_id}
    if filter_subject is not None:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(last_sequence)
        headers["Nats-Expected-Last-Subject-Sequence-Subject"] = filter_subject
    return headers


def emptied(subject: str, payload: bytes = b"", last_sequence: int | None = None) -> Message:
    """Puts *payload* in place of all that stands on *subject*; only while it ends at *last_sequence*, if that is given.

    The stream must allow it.  It needs no right but the one to write there.
    """
    headers = {"Nats-Rollup": "sub"}
    if last_sequence is not None:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(last_sequence)
    return Message(subject, payload, headers)


def message_id_of(headers: Mapping[str, str] | None) -> str | None:
    """The id under which a message was stored."""
    return (headers or {}).get("Nats-Msg-Id")


@asynccontextmanager
async def connected(
    url: str,
    *,
    user: str,
    password: str = "",
    seed: str | None = None,
    inbox: str | None = None,
    name: str | None = None,
) -> AsyncGenerator[Client]:
    """A connection that never gives up reconnecting; closed at the end.  *url* may name several servers.

    Whoever has a key signs in with its *seed* (`SU...`) in place of a password; *user* is then only what it is called.
    """

    async def on_error(error: Exception) -> None:
        log.warning("nats_error_seen", user=user, error=str(error) or type(error).__name__)

    async def on_disconnected() -> None:
        if not client.is_closed:
            log.warning("nats_disconnected", user=user)
        # nats-py lets whoever asked wait for the answer that went with the connection until the time is up;
        # told at once, they ask again and are answered as soon as the server, or another one, is there.
        for waiting in list(client._resp_map.values()):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the only way
            if not waiting.done():
                waiting.set_exception(ConnectionLostError())

    async def on_reconnected() -> None:
        log.info("nats_reconnected", user=user)

    client = Client()
    try:
        with _keeping_cancellation():
            await client.connect(
                [part.strip() for part in url.split(",")],
                user=None if seed else user,
                password=None if seed else password,
                nkeys_seed_str=seed,
                name=name or user,
                inbox_prefix=(inbox or f"_INBOX_{user}").encode(),
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                max_reconnect_attempts=-1,
                # nats-py only sleeps for it: parts of a second are right, whatever its annotation says.
                reconnect_time_wait=RECONNECT_WAIT_SECONDS,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                pending_size=PENDING_BYTES_MAX,
                error_cb=on_error,
                disconnected_cb=on_disconnected,
                reconnected_cb=on_reconnected,
            )
        yield client
    finally:
        await client.close()


class JetStream:
    """Requests to JetStream over one connection."""

    def __init__(self, client: Client, *, api_prefix: str = "$JS.API") -> None:
        """*api_prefix* is where an account reaches the API of another one, as far as it may."""
        self.client = client
        self._api_prefix = api_prefix
        self._pages = _Pages(client)

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands at this moment."""
        return bool(self.client.is_connected)

    async def api(self, call: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One call of the JetStream API.  Raises Refused, NotNow or Unknown."""
        payload = json.dumps(body).encode() if body is not None else b""
        return await self._request(f"{self._api_prefix}.{call}", payload, None)

    async def publish(self, message: Message, timeout: float = REQUEST_TIMEOUT_SECONDS) -> int:
        """Store one message; its position.  Raises Refused, NotNow or Unknown."""
        answer = await self._request(message.subject, message.payload, dict(message.headers), timeout)
        return int(answer["seq"])

    async def tell(self, subject: str, payload: bytes) -> None:
        """Publish to whoever listens now.  Raises NotNow when there is no connection to do it with."""
        try:
            await self.client.publish(subject, payload)
        except (NatsError, OSError) as error:
            raise NotNow(str(error) or type(error).__name__) from error

    async def publish_batch(
        self, messages: Sequence[Message], timeout: float = REQUEST_TIMEOUT_SECONDS
    ) -> int:
        """Store all of *messages* or none; the position of the last.  Raises Refused, NotNow or Unknown."""
        assert 1 < len(messages) <= BATCH_MESSAGES_MAX, "a batch has 2 to 1,000 messages"
        batch = uuid4().hex
        try:
            for number, (subject, payload, headers) in enumerate(messages[:-1], 1):
                part = {**headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                await self.client.publish(subject, payload, headers=part)
        except MaxPayloadError as error:
            raise Refused(Code.TOO_LARGE, str(error)) from error
        except (NatsError, OSError) as error:
            raise NotNow(str(error)) from error  # without its end, a batch stores nothing
        subject, payload, headers = messages[-1]
        last = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(len(messages)), "Nats-Batch-Commit": "1"}
        answer = await self._request(subject, payload, {**headers, **last}, timeout)
        return int(answer["seq"])

    async def last_on_leader(self, stream: str, subject: str) -> Stored | None:
        """The newest message on *subject* (wildcards allowed), as the stream's leader knows it."""
        return await self._on_leader(stream, {"last_by_subj": subject})

    async def at_on_leader(self, stream: str, sequence: int) -> Stored | None:
        """The message at this position, as the stream's leader knows it."""
        return await self._on_leader(stream, {"seq": sequence})

    async def next_on_leader(self, stream: str, subject: str, start: int) -> Stored | None:
        """The first message on *subject* from position *start* on, as the stream's leader knows it."""
        return await self._on_leader(stream, {"next_by_subj": subject, "seq": start})

    async def next_since_on_leader(self, stream: str, subject: str, moment: datetime) -> Stored | None:
        """The first message on *subject* that the server stored at *moment* or later; *moment* has a zone."""
        return await self._on_leader(stream, {"next_by_subj": subject, "start_time": moment.isoformat()})

    async def _on_leader(self, stream: str, wanted: Mapping[str, Any]) -> Stored | None:
        try:
            found = (await self.api(f"STREAM.MSG.GET.{stream}", wanted))["message"]
        except Refused as refused:
            if refused.code == Code.NOT_FOUND:
                return None
            raise
        headers = _parse_headers(base64.b64decode(found.get("hdrs", "")))
        return Stored(
            subject=found["subject"],
            sequence=int(found["seq"]),
            payload=base64.b64decode(found.get("data", "")),
            message_id=message_id_of(headers),
            traceparent=headers.get("traceparent"),
        )

    async def multi_last(self, stream: str, filters: Sequence[str], up_to: int | None = None) -> Page:
        """The newest message of every subject below *filters*, in log order, up to position *up_to*.

        Any replica answers, so the newest may be missing.  Raises Unknown when no answer comes.
        """
        body: dict[str, Any] = {"multi_last": list(filters)}
        if up_to is not None:
            body["up_to_seq"] = up_to
        return await self._pages.request(f"$JS.API.DIRECT.GET.{stream}", orjson.dumps(body))

    async def stretch(self, stream: str, subject: str, start: int, messages_max: int) -> Page:
        """The messages on *subject* (wildcards allowed) from position *start* on, as many at most; none at the end.

        Any replica answers, so the newest may be missing.  Raises Unknown when no answer comes.
        """
        body = {"seq": start, "next_by_subj": subject, "batch": messages_max}
        return await self._pages.request(f"$JS.API.DIRECT.GET.{stream}", orjson.dumps(body))

    async def _request(
        self,
        subject: str,
        payload: bytes,
        headers: dict[str, str] | None,
        timeout: float = REQUEST_TIMEOUT_SECONDS,
    ) -> dict[str, Any]:
        try:
            with _keeping_cancellation():
                reply = await self.client.request(subject, payload, timeout, headers=headers)
        except NoRespondersError as error:
            raise NotNow("no stream answers on this subject") from error
        except MaxPayloadError as error:
            raise Refused(Code.TOO_LARGE, str(error)) from error
        except (NatsError, OSError) as error:
            raise Unknown(str(error) or type(error).__name__) from error
        answer: dict[str, Any] = orjson.loads(reply.data)
        if "error" in answer:
            refusal = answer["error"]
            code, description = int(refusal.get("err_code", 0)), str(refusal.get("description", ""))
            if code in NOT_NOW:
                raise NotNow(f"{description} ({code})")
            raise Refused(code, description)
        return answer


@contextmanager
def _keeping_cancellation() -> Generator[None]:
    """Raise CancelledError if the task was cancelled in the block, whatever became of it there.

    Python 3.11's `wait_for`, in which nats-py waits, gives out an answer that comes together with a cancellation
    and forgets the cancellation: whoever asks again and again would then go on for ever.
    """
    task = asyncio.current_task()
    assert task is not None, "who asks is a task"
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


class _Pages:
    """Answers of many messages, all through one subscription: subscribing for each would double the cost."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = client.new_inbox()
        self._waiting: dict[str, tuple[list[Stored], asyncio.Future[Page]]] = {}
        self._subscribing = asyncio.Lock()
        self._subscribed = False

    async def request(self, subject: str, payload: bytes) -> Page:
        async with self._subscribing:
            if not self._subscribed:
                await self._client.subscribe(f"{self._prefix}.*", cb=self._on_message)
                self._subscribed = True
        key = uuid4().hex
        done: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
        self._waiting[key] = ([], done)
        try:
            await self._client.publish(subject, payload, reply=f"{self._prefix}.{key}")
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                return await done
        except (TimeoutError, NatsError, OSError) as error:
            raise Unknown(f"no answer on {subject}: {error}") from error
        finally:
            del self._waiting[key]

    async def _on_message(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject.rpartition(".")[2])
        if waiting is None or waiting[1].done():
            return  # whoever asked has given up
        found, done = waiting
        headers = message.headers or {}
        status = headers.get("Status")
        if status is None:
            found.append(
                Stored(
                    subject=headers["Nats-Subject"],
                    sequence=int(headers["Nats-Sequence"]),
                    payload=message.data,
                    message_id=headers.get("Nats-Msg-Id"),
                    traceparent=headers.get("traceparent"),
                )
            )
        elif status == "204":
            done.set_result(Page(tuple(found), int(headers.get("Nats-UpTo-Sequence", 0)), complete=True))
        elif status == "404":
            done.set_result(Page((), 0, complete=True))
        elif status == "413":
            done.set_result(Page((), 0, complete=False))
        else:
            done.set_exception(Unknown(f"the server answered {status} {headers.get('Description', '')}"))


def _parse_headers(raw: bytes) -> dict[str, str]:
    pairs = (line.partition(b": ") for line in raw.split(b"\r\n")[1:] if line)
    return {key.decode(): value.decode() for key, _, value in pairs}


def as_library_error(error: Exception) -> LogUnavailable | LogRefused:
    """The exception of the library that stands for an answer of the server."""
    if isinstance(error, Refused):
        return LogRefused(error.code, error.description)
    return LogUnavailable(str(error) or type(error).__name__)
