"""Deadlines on real servers: due when they should be and once, whoever dies, repeats or is late."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import pytest
import pytest_asyncio

from cli.embedded.nats import NatsServer
from libs.events import streams
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Accepted, Assigned, Escalated, EscalationReason
from libs.events.envelope import Context, Entry, Origin
from libs.events.errors import LogUnavailable
from libs.events.handle import Handler
from libs.events.jetstream import Code, Message, Refused, Unknown
from libs.events.jetstream.reader import Credentials
from libs.events.log import History, Log, facts_of
from libs.events.subjects import TIMERS, due_subject, timer_subject
from libs.events.testing.examples import EXAMPLES
from libs.events.timekeeping import TimeIsUp, Timekeeper
from libs.events.timers import Deadlines, Due, Timers, run_timers
from libs.events.timers_rebuilding import Progress, Report, Retiming
from tests.support.nodes import (
    PASSWORD,
    Servers,
    cluster,
    declared,
    eventually,
    kill,
    provision,
    single,
    told,
)
from tests.support.stack import answered

SECONDS_MAX = 180.0
SOON = timedelta(seconds=1)
FAR = timedelta(days=30)
TRIES_MAX = 6
BURST = 1_000
BURST_TIMES_MAX = 20  # a guard against a wrong order of growth; how fast it is, the bench says
BATCH_MESSAGES_MAX = 500


def now() -> datetime:
    return datetime.now(UTC)


def context(origin: Origin = Origin.LIVE) -> Context:
    return Context(actor="test", time=now(), origin=origin)


class Refusal(StrEnum):
    NO = "no"


def deadlines_of(events: Sequence[Event]) -> Deadlines:
    """A small rule: who is assigned signs in time, or the case goes up."""
    standing: Deadlines = {}
    for event in events:
        if isinstance(event, Assigned) and event.due_at is not None:
            standing = {"sign": event.due_at}
        elif isinstance(event, Accepted | Escalated):
            standing = {}
    return standing


def decide(due: Due, history: History) -> tuple[Event, ...]:
    if deadlines_of(history.events).get(due.name) != due.due_at:
        return ()
    return (
        Escalated(reason=EscalationReason.NOT_SIGNED, level="street", acts="street:hebin", due_at=due.due_at),
    )


def assigned(due_at: datetime) -> Event:
    return Assigned(department="water", due_at=due_at)


ACCEPTED = Accepted(department="water")


@dataclass(slots=True)
class World:
    """A log and its timers, as dispatch has them."""

    servers: Servers
    heard: list[Due] = field(default_factory=list)
    parked: list[tuple[str, Exception]] = field(default_factory=list)
    _running: list[asyncio.Task[None]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def timers(self, *, first: int = 0) -> Timers:
        return Timers(await self.servers.jetstream("dispatch", first=first))

    async def timekeeper(
        self, decide: Callable[[Due, History], tuple[Event, ...] | StrEnum] = decide
    ) -> Timekeeper:
        cases = await self.servers.log("dispatch")
        return Timekeeper(
            await self.timers(),
            cases,
            Handler(cases),
            deadlines_of=deadlines_of,
            time_is_up=lambda due: TimeIsUp(lambda history: decide(due, history), context()),
        )

    async def listen(self, fire: Callable[[Due], Awaitable[None]] | None = None, *, first: int = 0) -> None:
        """Hear of what is due, until the test ends; *fire* decides about it."""

        async def hear(due: Due) -> None:
            if fire is not None:
                await fire(due)
            self.heard.append(due)
            self._changed.set()

        async def park(case_id: str, reason: Exception) -> None:
            self.parked.append((case_id, reason))
            self._changed.set()

        jetstream = await self.servers.jetstream("dispatch", first=first)
        self._running.append(
            asyncio.create_task(run_timers(jetstream, hear, park, batch_messages_max=BATCH_MESSAGES_MAX))
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            while not holds():
                for task in self._running:
                    assert not task.done(), task
                self._changed.clear()
                await self._changed.wait()

    async def until_heard(self, case_id: str) -> None:
        await self.until(lambda: case_id in {due.case_id for due in self.heard})

    def times_of(self, case_id: str) -> list[datetime]:
        return [due.due_at for due in self.heard if due.case_id == case_id]

    async def append(
        self, cases: Log, case_id: str, *events: Event, origin: Origin = Origin.LIVE
    ) -> list[Entry]:
        history = await cases.load(case_id)
        return list(await cases.append(history, facts_of(events, context(origin))))

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def with_consumer(servers: Servers) -> World:
    await provision(servers, streams.timer_consumers())
    return World(servers)


@dataclass(frozen=True, slots=True)
class Plan:
    """Cases and moments of one try."""

    number: int
    start: datetime
    soon: timedelta

    def case(self, name: str) -> str:
        return f"{name}-{self.number}"

    def at(self, times: float) -> datetime:
        return self.start + times * self.soon


async def in_time(arrange: Callable[[Plan], Awaitable[None]], times: float = 1) -> Plan:
    """What *arrange* does before its first moment, `at(times)`: again with more time where the machine was too slow."""
    for number in range(TRIES_MAX):
        plan = Plan(number, now(), SOON * 2**number)
        await arrange(plan)
        if now() < plan.at(times):
            return plan
    raise AssertionError(f"not even in {SOON * 2**TRIES_MAX}")


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with single(tmp_path) as servers:
        found = await with_consumer(servers)
        yield found
        await found.close()


async def test_a_timer_is_due_at_its_time_and_once(world: World) -> None:
    timers = await world.timers()
    await world.listen()
    at = now() + SOON
    await timers.set("case", "sign", at)
    await timers.set("after", "sign", at + SOON)
    await world.until_heard("case")
    assert now() >= at
    await world.until_heard("after")
    assert world.heard == [Due("case", "sign", at), Due("after", "sign", at + SOON)]


async def test_what_is_past_is_due_at_once(world: World) -> None:
    timers = await world.timers()
    await world.listen()
    await timers.set("case", "report-in-No_20Q", now() - FAR)
    await world.until_heard("case")
    assert world.heard[0].name == "report-in-No_20Q"


async def test_a_timer_that_is_moved_is_due_at_its_new_time_alone(world: World) -> None:
    timers = await world.timers()
    await world.listen()

    async def move(plan: Plan) -> None:
        later, sooner = plan.case("later"), plan.case("sooner")
        await timers.set(later, "sign", plan.at(1))
        await timers.set(later, "sign", plan.at(2))
        await timers.set(sooner, "sign", plan.start + FAR)
        await timers.set(sooner, "sign", plan.at(1))
        await timers.set(plan.case("fence"), "sign", plan.at(3))

    plan = await in_time(move)
    await world.until_heard(plan.case("fence"))
    assert world.times_of(plan.case("later")) == [plan.at(2)]
    assert world.times_of(plan.case("sooner")) == [plan.at(1)]


async def test_a_timer_that_is_taken_down_is_never_due_and_can_stand_again(world: World) -> None:
    timers = await world.timers()
    await world.listen()

    async def take_down(plan: Plan) -> None:
        case = plan.case("case")
        await timers.set_many([Due(case, name, plan.at(1)) for name in ("sign", "handle", "verify")])
        await timers.cancel(case, "sign")
        await timers.cancel_many([(case, "handle"), (case, "never-stood")])
        await timers.set(case, "handle", plan.at(2))
        await timers.set(plan.case("fence"), "sign", plan.at(3))

    plan = await in_time(take_down)
    await world.until_heard(plan.case("fence"))
    names = [due.name for due in world.heard if due.case_id == plan.case("case")]
    assert names == ["verify", "handle"]


async def test_what_stands_can_be_looked_at(world: World) -> None:
    timers = await world.timers()
    at = now() + FAR
    await timers.set_many([Due(f"case{n}", "sign", at) for n in range(250)])
    await timers.cancel("case7", "sign")
    found = await timers.standing([f"case{n}" for n in range(251)])
    assert {case_id for case_id, names in found.items() if names} == {f"case{n}" for n in range(250)}
    assert found["case8"]["sign"].due_at == at
    assert found["case7"]["sign"].due_at is None
    assert await timers.cases() == {f"case{n}" for n in range(250)}


async def test_more_than_the_server_gives_at_once_is_asked_for_in_parts(world: World) -> None:
    timers = await world.timers()
    wanted = [Due(f"case{n}", f"name-{m}", now() + FAR) for n in range(20) for m in range(60)]
    await timers.set_many(wanted)
    found = await timers.standing([f"case{n}" for n in range(20)])
    assert {len(names) for names in found.values()} == {60}


async def test_who_knows_less_of_the_case_never_undoes_what_one_did_who_knows_more(world: World) -> None:
    """One has looked at the timers and is slow; the other has seen the case move on, and is done before."""
    slow, quick = await world.timers(), await world.timers()
    old, new = now() + FAR, now() + 2 * FAR
    asked: list[Deadlines] = []

    async def by_the_quick_one() -> Deadlines:
        return {"sign": new}

    async def by_the_slow_one() -> Deadlines:
        if not asked:
            await quick.keep("case", by_the_quick_one)
        asked.append({"sign": new} if asked else {"sign": old, "handle": old})
        return asked[-1]

    await slow.keep("case", by_the_slow_one)
    assert len(asked) == 2
    standing = (await slow.standing(["case"]))["case"]
    # What it put up where nobody had been goes again, since what it knows by now does not ask for it.
    assert {name: each.due_at for name, each in standing.items()} == {"sign": new, "handle": None}


async def test_the_timers_follow_the_facts_whatever_their_order(world: World) -> None:
    keeper, cases, timers = (
        await world.timekeeper(),
        await world.servers.log("dispatch"),
        await world.timers(),
    )
    first, second = now() + FAR, now() + 2 * FAR
    entries = await world.append(cases, "case", assigned(first))
    await keeper.keep(entries[0])
    assert (await timers.standing(["case"]))["case"]["sign"].due_at == first
    entries += await world.append(cases, "case", ACCEPTED, assigned(second))
    for entry in reversed(entries):  # each says what the whole case asks for by now
        await keeper.keep(entry)
        assert (await timers.standing(["case"]))["case"]["sign"].due_at == second
    entries += await world.append(cases, "case", ACCEPTED)
    await keeper.keep(entries[-1])
    assert (await timers.standing(["case"]))["case"]["sign"].due_at is None
    for entry in entries:  # all of it comes again
        await keeper.keep(entry)
    assert (await timers.standing(["case"]))["case"]["sign"].due_at is None


async def test_imported_facts_have_no_timers(world: World) -> None:
    keeper, cases, timers = (
        await world.timekeeper(),
        await world.servers.log("importer"),
        await world.timers(),
    )
    [entry] = await world.append(cases, "case", assigned(now() + FAR), origin=Origin.IMPORT)
    await keeper.keep(entry)
    assert not await timers.cases()


async def test_a_time_that_is_up_is_decided_once_however_often_it_is_heard(world: World) -> None:
    one, other = await world.timekeeper(), await world.timekeeper()
    cases = await world.servers.log("dispatch")
    due = Due("case", "sign", now())
    await world.append(cases, "case", assigned(due.due_at))
    await asyncio.gather(*(keeper.fire(due) for keeper in (one, other, one, other)))
    await one.fire(Due("case", "sign", due.due_at - FAR))
    await one.fire(Due("case", "handle", due.due_at))
    await one.fire(Due("nobody", "sign", due.due_at))
    assert [entry.name for entry in (await cases.load("case")).entries] == ["assigned", "escalated"]


async def test_a_timer_that_its_forerunner_took_away_is_put_up_again(world: World) -> None:
    """When a timer comes due, the server purges its place, and with it what was put up there just then."""
    keeper, cases, timers = (
        await world.timekeeper(),
        await world.servers.log("dispatch"),
        await world.timers(),
    )
    moved = now() + FAR
    await world.append(cases, "case", assigned(now()), assigned(moved))
    await keeper.fire(Due("case", "sign", now()))
    assert (await timers.standing(["case"]))["case"]["sign"].due_at == moved


async def test_the_whole_way_from_the_assignment_to_the_escalation(world: World) -> None:
    keeper, cases = await world.timekeeper(), await world.servers.log("dispatch")
    await world.listen(keeper.fire)
    await world.listen(keeper.fire)  # another replica
    for case_id, events in {"late": [], "signed": [ACCEPTED]}.items():
        for entry in await world.append(cases, case_id, assigned(now() + SOON), *events):
            await keeper.keep(entry)
    await (await world.timers()).set("fence", "sign", now() + 2 * SOON)
    for case_id in ("late", "fence"):  # another replica may have it, and be slower
        await world.until_heard(case_id)
    assert [entry.name for entry in (await cases.load("late")).entries] == ["assigned", "escalated"]
    assert [entry.name for entry in (await cases.load("signed")).entries] == ["assigned", "accepted"]


async def test_what_cannot_be_decided_is_parked_and_holds_up_nobody(world: World) -> None:
    def broken(due: Due, history: History) -> tuple[Event, ...] | StrEnum:
        return Refusal.NO if due.case_id == "refused" else ()

    keeper, cases, timers = (
        await world.timekeeper(broken),
        await world.servers.log("dispatch"),
        await world.timers(),
    )
    await world.listen(keeper.fire)
    at = now()
    await world.append(
        cases, "round", assigned(at)
    )  # decided about, and nothing changes: it would come for ever
    for case_id in ("refused", "round", "fine"):
        await timers.set(case_id, "sign", at)
    unreadable = Message(timer_subject("unreadable", "sign"), b"[]", timer_headers("unreadable", at))
    await (await world.servers.jetstream("dispatch")).publish(unreadable)
    await world.until(lambda: len(world.parked) == 3 and bool(world.heard))
    reasons = {case_id: str(reason) for case_id, reason in world.parked}
    assert reasons.keys() == {"refused", "round", "unreadable"}
    assert "still has to stand" in reasons["round"]
    assert {due.case_id for due in world.heard} == {"fine"}
    await eventually(lambda: nothing_waits(world), "what was parked is done with")


def timer_headers(case_id: str, at: datetime) -> dict[str, str]:
    return {"Nats-Schedule": f"@at {at.isoformat()}", "Nats-Schedule-Target": due_subject(case_id, "sign")}


async def nothing_waits(world: World) -> bool:
    jetstream = await world.servers.jetstream("auditor")
    return await streams.lag(jetstream, "dispatch-timers", TIMERS) == 0


async def test_while_the_log_is_away_a_timer_waits(world: World) -> None:
    attempts = 0

    async def fire(due: Due) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            raise LogUnavailable("away")

    await world.listen(fire)
    await (await world.timers()).set("case", "sign", now())
    await world.until_heard("case")
    assert attempts == 4
    assert not world.parked
    await eventually(lambda: nothing_waits(world), "it was acknowledged")


async def test_a_thousand_due_in_the_same_second_are_decided_together(world: World) -> None:
    keeper, cases, timers = (
        await world.timekeeper(),
        await world.servers.log("dispatch"),
        await world.timers(),
    )
    await world.listen(keeper.fire)
    at, began = (now() + 5 * SOON).replace(microsecond=0), now()
    for part in range(0, BURST, 100):
        await asyncio.gather(
            *(world.append(cases, f"case{n}", assigned(at)) for n in range(part, part + 100))
        )
    written = now()
    await timers.set_many([Due(f"case{n}", "sign", at) for n in range(BURST)])
    due = max(at, now())  # a slow machine has some of them stand too late
    await world.until(lambda: len(world.heard) >= BURST)
    seconds = (now() - due).total_seconds()
    told(f"{BURST} due in the same second were decided and in the log {seconds:.2f} s after it")
    histories = await cases.load_many([f"case{n}" for n in range(BURST)])
    assert {tuple(entry.name for entry in each.entries) for each in histories.values()} == {
        ("assigned", "escalated")
    }
    assert seconds < BURST_TIMES_MAX * (written - began).total_seconds()


async def test_a_server_that_is_killed_forgets_no_timer_and_repeats_none(world: World) -> None:
    timers, [node] = await world.timers(), world.servers.nodes
    await world.listen()

    async def set_and_kill(plan: Plan) -> None:
        if node.child.code is not None:
            await node.start()
        await timers.set_many([Due(plan.case(f"case{n}"), "sign", plan.at(2)) for n in range(50)])
        await timers.set(plan.case("missed"), "sign", plan.at(1))
        await timers.set(plan.case("moved"), "sign", plan.at(2))
        await timers.set(plan.case("moved"), "sign", plan.at(3))
        await timers.set(plan.case("cancelled"), "sign", plan.at(2))
        await timers.cancel(plan.case("cancelled"), "sign")
        await timers.set(plan.case("fence"), "sign", plan.at(4))
        await kill(node)

    plan = await in_time(set_and_kill)
    await node.start()
    await world.until_heard(plan.case("fence"))
    wanted = [plan.case(name) for name in (*(f"case{n}" for n in range(50)), "missed", "moved", "fence")]
    found = [due.case_id for due in world.heard if due.case_id.endswith(plan.case(""))]
    assert sorted(found) == sorted(wanted)
    assert world.times_of(plan.case("moved")) == [plan.at(3)]


@pytest.mark.full
async def test_timers_outlive_the_leader_of_three(tmp_path: Path) -> None:
    async with cluster(tmp_path) as servers:
        world = await with_consumer(servers)
        jetstream = await servers.jetstream("auditor")
        leader = (await answered(lambda: jetstream.api(f"STREAM.INFO.{TIMERS}")))["cluster"]["leader"]
        killed = next(n for n, node in enumerate(servers.nodes) if name_of(node) == leader)
        alive = (killed + 1) % 3
        timers = await world.timers(first=alive)
        await world.listen(first=alive)
        start = now()
        await timers.set_many([Due(f"case{n}", "sign", start + 3 * SOON) for n in range(50)])
        await timers.set("moved", "sign", start + 3 * SOON)
        await timers.set("moved", "sign", start + 6 * SOON)
        await timers.set("cancelled", "sign", start + 3 * SOON)
        await timers.cancel("cancelled", "sign")
        await timers.set("fence", "sign", start + 8 * SOON)
        await kill(servers.nodes[killed])
        await world.until_heard("fence")
        await world.close()
    assert sorted(due.case_id for due in world.heard) == sorted(
        [*(f"case{n}" for n in range(50)), "moved", "fence"]
    )
    assert world.times_of("moved") == [start + 6 * SOON]


def name_of(node: NatsServer) -> str:
    seat = node._seat  # pyright: ignore[reportPrivateUsage]  # only a cluster has names
    assert seat is not None
    return seat.name


async def retiming(world: World) -> Callable[[], Awaitable[Report]]:
    jetstream, cases = await world.servers.jetstream("dispatch"), await world.servers.log("dispatch")
    work = Retiming(jetstream, cases, Credentials("dispatch", PASSWORD), deadlines_of)
    return lambda: work.run(PROGRESS.append)


PROGRESS: list[Progress] = []


async def lose_the_stream(world: World) -> None:
    breakglass = await world.servers.jetstream("breakglass")
    await breakglass.api(f"STREAM.DELETE.{TIMERS}")
    await provision(world.servers, [*declared(1), *streams.timer_consumers()])


async def test_all_timers_come_back_from_the_log(world: World) -> None:
    cases, keeper, timers = (
        await world.servers.log("dispatch"),
        await world.timekeeper(),
        await world.timers(),
    )
    far = now() + FAR
    for n in range(120):
        await world.append(cases, f"case{n}", assigned(far))
    await world.append(cases, "missed", assigned(now() - FAR))
    await world.append(cases, "signed", assigned(far), ACCEPTED)
    importer = await world.servers.log("importer")
    await world.append(
        importer, "imported", EXAMPLES[Assigned].model_copy(update={"due_at": far}), origin=Origin.IMPORT
    )
    await world.listen(keeper.fire)
    await lose_the_stream(world)
    await timers.set("signed", "sign", far)
    await timers.set("unknown", "sign", far)
    await timers.set("case0", "sign", far)
    await timers.set("case1", "sign", far + FAR)
    rebuild = await retiming(world)
    report = await rebuild()
    assert (report.cases, report.put_up, report.taken_down) == (123, 120, 2)
    await world.until_heard("missed")
    assert [entry.name for entry in (await cases.load("missed")).entries] == ["assigned", "escalated"]
    standing = await timers.standing([*(f"case{n}" for n in range(120)), "signed", "unknown", "imported"])
    held = {case_id: each["sign"].due_at for case_id, each in standing.items() if "sign" in each}
    assert held == {f"case{n}": far for n in range(120)} | {"signed": None, "unknown": None}
    again = await rebuild()
    assert (again.put_up, again.taken_down, again.cases_unreadable) == (0, 0, 0)
    assert PROGRESS[-1] == Progress("keeping", again.cases, again.cases)


async def test_a_case_that_cannot_be_read_keeps_its_timers_and_is_told(world: World) -> None:
    cases, timers = await world.servers.log("dispatch"), await world.timers()
    far = now() + FAR
    await world.append(cases, "fine", assigned(far))
    importer = await world.servers.jetstream("importer")
    await importer.publish(Message("case.broken.reported.1", b"{}", {}))
    await timers.set("broken", "sign", far)
    report = await (await retiming(world))()
    assert (report.cases_unreadable, report.unreadable_examples, report.put_up) == (1, ["broken"], 1)
    assert (await timers.standing(["broken"]))["broken"]["sign"].due_at == far


@pytest.mark.parametrize("user", ["intake", "evaluation", "notify", "importer", "auditor", "provision"])
async def test_only_dispatch_has_timers(world: World, user: str) -> None:
    jetstream = await world.servers.jetstream(user)
    await refused(world, user, jetstream.publish(Message(timer_subject("case", "sign"), b"", {}), 0.2))


async def test_dispatch_cannot_say_itself_what_is_due_nor_empty_the_stream(world: World) -> None:
    jetstream = await world.servers.jetstream("dispatch")
    await refused(world, "dispatch", jetstream.publish(Message(due_subject("case", "sign"), b"", {}), 0.2))
    for call in ("STREAM.PURGE", "STREAM.DELETE", "STREAM.UPDATE", "STREAM.MSG.DELETE"):
        await refused(
            world, "dispatch", jetstream.publish(Message(f"$JS.API.{call}.{TIMERS}", b"{}", {}), 0.2)
        )


async def refused(world: World, user: str, asking: Awaitable[object]) -> None:
    """The server answers nobody who may not ask; and nothing was stored."""
    with pytest.raises(Unknown):
        await asking
    auditor = await world.servers.jetstream("auditor")
    assert (await auditor.api(f"STREAM.INFO.{TIMERS}"))["state"]["messages"] == 0, user


async def test_a_stored_message_only_goes_where_nothing_changed(world: World) -> None:
    """The header that all of it rests on, asked of the server itself."""
    jetstream = await world.servers.jetstream("dispatch")
    subject = timer_subject("case", "sign")
    headers = {**timer_headers("case", now() + FAR), "Nats-Expected-Last-Subject-Sequence": "0"}
    await jetstream.publish(Message(subject, b"{}", headers))
    with pytest.raises(Refused) as refusal:
        await jetstream.publish(Message(subject, b"{}", headers))
    assert refusal.value.code == Code.WRONG_LAST_SEQUENCE
