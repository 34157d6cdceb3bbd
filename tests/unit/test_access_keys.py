"""API keys: who asks with one, until when, and how often the log is read for it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from libs.events.access.identity import Actor
from libs.events.access.keys import (
    AGAIN_SECONDS,
    FRESH_SECONDS,
    STALE_SECONDS_MAX,
    KeyRecord,
    Keys,
    new_key,
)
from libs.events.access.roles import Role
from libs.events.errors import LogUnavailable
from tests.support.issuing import Clock

NOW: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Store:
    """The keys that there are, and how often they were read; it stands for what `KeyStore` reads from the log."""

    def __init__(self) -> None:
        self.records: dict[str, KeyRecord] = {}
        self.reads = 0
        self.away = False

    async def all(self) -> dict[str, KeyRecord]:
        self.reads += 1
        if self.away:
            raise LogUnavailable("away")
        return dict(self.records)

    def add(self, *posts: str, expires_at: datetime | None = None) -> tuple[str, KeyRecord]:
        text, record = new_key("a gateway", posts, NOW, "operator:desk", expires_at)
        self.records[record.id] = record
        return text, record


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    async def sleep(seconds: float) -> None:
        clock.seconds += max(seconds, 0.0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return clock


def reader(store: Store, clock: Clock, now: datetime = NOW) -> Keys:
    return Keys(store, lambda: now, monotonic=clock)  # type: ignore[arg-type]  # what it needs of a store


async def test_a_key_says_who_asks(store: Store, clock: Clock) -> None:
    text, record = store.add("integrator:wechat", "grid-worker:qiaotou-01")
    actor = await reader(store, clock).actor_of(text)
    assert actor is not None
    assert actor == Actor(f"key:{record.id}", ("integrator:wechat", "grid-worker:qiaotou-01"))
    assert actor.roles == {Role.ANYBODY, Role.INTEGRATOR, Role.GRID_WORKER}


async def test_what_is_kept_of_a_key_does_not_open(store: Store, clock: Clock) -> None:
    text, record = store.add("integrator:wechat")
    assert text.split("_", 2)[2] not in record.model_dump_json()
    assert await reader(store, clock).actor_of(f"whistle_{record.id}_{record.digest}") is None


async def test_no_key_but_the_right_one_opens(store: Store, clock: Clock) -> None:
    text, record = store.add("integrator:wechat")
    other, _ = store.add("integrator:other")
    keys = reader(store, clock)
    secret = other.split("_", 2)[2]
    wrong = (
        "",
        "whistle_",
        f"whistle_{record.id}_",
        f"whistle_{record.id}_{secret}",
        text[:-1],
        text + "x",
        "é",
    )
    assert [await keys.actor_of(each) for each in wrong] == [None] * len(wrong)


async def test_a_key_ends_by_its_time_and_by_hand(store: Store, clock: Clock) -> None:
    text, record = store.add("integrator:wechat", expires_at=NOW + timedelta(days=1))
    assert await reader(store, clock).actor_of(text)
    assert await reader(store, clock, NOW + timedelta(days=1)).actor_of(text) is None
    keys = reader(store, clock)
    assert await keys.actor_of(text)
    store.records[record.id] = record.model_copy(update={"revoked_at": NOW})
    clock.seconds += FRESH_SECONDS + 0.1
    assert await keys.actor_of(text) is None


async def test_a_key_opens_as_soon_as_it_is_made(store: Store, clock: Clock) -> None:
    keys = reader(store, clock)
    first, _ = store.add("integrator:first")
    assert await keys.actor_of(first)
    second, _ = store.add("integrator:second")
    assert await keys.actor_of(second)


async def test_a_flood_of_unknown_keys_reads_the_log_twice_a_second_at_most(
    store: Store, clock: Clock
) -> None:
    keys = reader(store, clock)
    began = clock.seconds
    unknown = [new_key("", (), NOW, "").text for _ in range(200)]
    await asyncio.gather(*(keys.actor_of(text) for text in unknown))
    assert store.reads <= (clock.seconds - began) / AGAIN_SECONDS + 1


async def test_keys_go_on_for_a_while_when_the_log_is_away(store: Store, clock: Clock) -> None:
    text, _ = store.add("integrator:wechat")
    keys = reader(store, clock)
    assert await keys.actor_of(text)
    store.away = True
    clock.seconds += STALE_SECONDS_MAX - 1
    assert await keys.actor_of(text)
    clock.seconds += 2
    with pytest.raises(LogUnavailable):
        await keys.actor_of(text)


async def test_who_waits_while_the_log_is_away_waits_for_one_attempt(store: Store, clock: Clock) -> None:
    text, _ = store.add("integrator:wechat")
    keys = reader(store, clock)
    assert await keys.actor_of(text)
    store.away, store.reads = True, 0
    clock.seconds += FRESH_SECONDS + 1
    assert all(await asyncio.gather(*(keys.actor_of(text) for _ in range(50))))
    assert store.reads == 1
