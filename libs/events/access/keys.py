"""API keys: made once, shown once, kept only as a digest, in the bucket `KEYS` of the log's account.

A key is `whistle_<id>_<secret>`: the id finds it, the secret, 256 random bits, proves it.  Such a secret cannot be
guessed, so that one round of SHA-256 keeps it as well as a slow hash would, and costs a request nothing.
"""

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from libs.events.access.identity import Actor
from libs.events.errors import LogRefused, LogUnavailable
from libs.events.keyvalue import KeyValue, Value

log = structlog.get_logger(__name__)

PREFIX: Final = "whistle_"
ID_CHARACTERS: Final = 8
SECRET_BYTES: Final = 32
FRESH_SECONDS: Final = 3.0
"""So long the keys that were read are believed: a revoked key is refused after this at the latest."""
AGAIN_SECONDS: Final = 0.5
"""For an unknown key they are read anew, but not more often than this."""
READ_SECONDS_MAX: Final = 2.0
STALE_SECONDS_MAX: Final = 60.0
"""While the log does not answer, the keys that were read are believed for so long."""
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


class KeyRecord(BaseModel):
    """What is kept of a key."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    digest: str
    """SHA-256 of the secret, in hexadecimal digits."""
    name: str
    """Whose it is, in the words of whoever made it; no person's name."""
    posts: tuple[str, ...]
    created_at: AwareDatetime
    created_by: str
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def actor(self) -> Actor:
        """Who asks with it."""
        return Actor(f"key:{self.id}", self.posts)


class NewKey(NamedTuple):
    """A key at the only moment at which it is known."""

    text: str
    record: KeyRecord


def new_key(
    name: str, posts: tuple[str, ...], now: datetime, by: str, expires_at: datetime | None = None
) -> NewKey:
    """A key of its own, not stored yet."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(ID_CHARACTERS))
    secret = secrets.token_urlsafe(SECRET_BYTES)
    record = KeyRecord(
        id=key_id,
        digest=_digest(secret),
        name=name,
        posts=posts,
        created_at=now,
        created_by=by,
        expires_at=expires_at,
    )
    return NewKey(f"{PREFIX}{key_id}_{secret}", record)


class KeyStore:
    """All keys, as the log's account has them."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def all(self) -> dict[str, KeyRecord]:
        """Every key that was ever made, by its id.  Raises LogUnavailable or LogRefused."""
        found = await self._bucket.below(*_ALPHABET)
        return {record.id: record for value in found if (record := _record(value))}

    async def one(self, key_id: str) -> KeyRecord | None:
        """The key with this id, if there is one.  Raises LogUnavailable or LogRefused."""
        value = await self._bucket.get(_place(key_id)) if _is_id(key_id) else None
        return _record(value) if value else None

    async def write(self, record: KeyRecord) -> None:
        """Store it in place of what was there.  Raises LogUnavailable (it may be stored or not) or LogRefused."""
        await self._bucket.put(_place(record.id), record.model_dump_json().encode())


class Keys:
    """Finds the actor behind a key, without a request to the log for each: a flood of wrong keys costs it nothing."""

    def __init__(
        self,
        store: KeyStore,
        now: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._known: Mapping[str, KeyRecord] = {}
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._reading = asyncio.Lock()

    async def actor_of(self, text: str) -> Actor | None:
        """Who asks with this key; None when it opens nothing.  Raises LogUnavailable when that cannot be known."""
        key_id, _, secret = text.removeprefix(PREFIX).partition("_")
        if not text.startswith(PREFIX) or not _is_id(key_id) or not secret:
            return None
        asked_at = self._monotonic()
        # An unknown one may have been made a moment ago.
        if asked_at - self._tried_at > FRESH_SECONDS or key_id not in self._known:
            await self._read(asked_at)
        if self._monotonic() - self._read_at > STALE_SECONDS_MAX:
            raise LogUnavailable("the API keys cannot be read")
        record = self._known.get(key_id)
        # Compared for an unknown id, too, so that the time of the answer does not tell which ids there are.
        right = hmac.compare_digest(record.digest if record else _digest(""), _digest(secret))
        return record.actor if record and right and record.is_valid(self._now()) else None

    async def _read(self, asked_at: float) -> None:
        """The keys as they are after *asked_at*, read once for all who ask meanwhile."""
        async with self._reading:
            if self._tried_at <= asked_at:
                await asyncio.sleep(self._tried_at + AGAIN_SECONDS - self._monotonic())
                await self._try()

    async def _try(self) -> None:
        self._tried_at = began = self._monotonic()
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                self._known = await self._store.all()
        except (LogUnavailable, LogRefused, TimeoutError) as error:
            log.warning("keys_not_refreshed", reason=str(error) or type(error).__name__)
        else:
            self._read_at = began


def _place(key_id: str) -> str:
    """Its key in the bucket: below its first character, so that any number of them is read in parts."""
    return f"{key_id[0]}.{key_id}"


def _is_id(text: str) -> bool:
    return len(text) == ID_CHARACTERS and set(text) <= set(_ALPHABET)


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _record(value: Value) -> KeyRecord | None:
    try:
        return KeyRecord.model_validate_json(value.payload)
    except ValidationError:
        log.error("key_unreadable", key=value.key)  # noqa: TRY400 - what it holds is nobody's to read
        return None
