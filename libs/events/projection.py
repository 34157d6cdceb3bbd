"""A change and the case's version move in one transaction, or neither does.

A service's position is one number for each case. Event n is applied when the position is n - 1, skipped when it is
not below n, and when something is missing between, it is read from the log first. So any number of replicas may
share a consumer, messages may come twice or out of order, and nothing is lost, doubled or swapped.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from time import perf_counter
from typing import Final, NamedTuple

import orjson
import structlog

from libs.events import faults, telemetry
from libs.events.carrying import Bare
from libs.events.consume import PASSING
from libs.events.envelope import Entry
from libs.events.errors import CaseUnreadable, LogUnavailable
from libs.events.ids import derived_event_id
from libs.events.jetstream import JetStream, Message, expectation
from libs.events.jetstream.pull import Delivery
from libs.events.log import Log, entry_of
from libs.events.readmodel import Connection, Pool, ReadModel, asking, writing

log = structlog.get_logger(__name__)

REASON_CHARACTERS_MAX: Final = 2_000

INSERT_MISSING: Final = """
INSERT INTO positions (case_id, version) SELECT case_id, 0 FROM unnest($1::text[]) AS t (case_id)
ON CONFLICT DO NOTHING
"""
LOCK_POSITIONS: Final = """
SELECT case_id, version, parked FROM positions WHERE case_id = ANY($1::text[]) ORDER BY case_id FOR UPDATE
"""
MOVE_POSITIONS: Final = """
UPDATE positions SET version = t.version FROM unnest($1::text[], $2::integer[]) AS t (case_id, version)
WHERE positions.case_id = t.case_id AND positions.version < t.version
"""
MARK_PARKED: Final = "UPDATE positions SET parked = true WHERE case_id = $1"
INSERT_PARKED: Final = """
INSERT INTO parked (case_id, version, reason) VALUES ($1, $2, $3) ON CONFLICT (case_id) DO NOTHING
"""
UNPARK: Final = "UPDATE positions SET parked = false WHERE case_id = $1 AND parked RETURNING version"
DISMISSED: Final = "SELECT case_id, version FROM {service}.dismissed WHERE case_id = ANY($1::text[])"
DISMISS: Final = """
INSERT INTO {service}.dismissed (case_id, version, dismissed_by, principal, reason) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""
DELETE_PARKED: Final = "DELETE FROM parked WHERE case_id = $1 RETURNING version"
PARKED_ONE: Final = "SELECT case_id, version, reason, parked_at FROM parked WHERE case_id = $1"
LIST_PARKED: Final = "SELECT case_id, version, reason, parked_at FROM parked ORDER BY parked_at LIMIT $1"
COUNT_PARKED: Final = "SELECT count(*) FROM parked"


class Dismissal(NamedTuple):
    """Who says that an event is to be passed over, and why."""

    by: str
    """Their post."""
    principal: str | None
    """The person, by a pseudonym."""
    reason: str


React = Callable[[Entry], Awaitable[None]]
"""Does what one event asks for.  May be called again for the same event, and must then add nothing."""


async def nothing(_: Entry) -> None:
    """The reaction of a service that only keeps read models."""


class _Parked(NamedTuple):
    """Where a case that is taken up again stood."""

    version: int
    """The event that held it up."""
    position: int
    """The newest event that the read models hold."""


class _Failed(NamedTuple):
    """An event that could not be handled, and why."""

    version: int
    reason: Exception


class Projector:
    """Turns deliveries into reactions and read models for one service."""

    def __init__(
        self,
        model: ReadModel,
        pool: Pool,
        cases: Log,
        jetstream: JetStream,
        *,
        react: React = nothing,
    ) -> None:
        self._model = model
        self._pool = pool
        self._log = cases
        self._jetstream = jetstream
        self._react = react

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """React to and apply what was delivered; what was done before is not done again."""
        started = perf_counter()
        entries = [entry_of(each.subject, each.sequence, each.payload) for each in deliveries]
        wanted = [entry for entry in entries if entry.envelope.origin in self._model.origins]
        if wanted:
            async with writing(self._pool, self._model) as connection:
                await self._advance(connection, wanted)
                await faults.reach("consume.before_commit")
        service = self._model.service
        telemetry.observe_projection_batch(service, len(wanted), perf_counter() - started)
        for name, events in Counter(entry.name for entry in wanted).items():
            telemetry.count_consumed(service, name, events)

    async def park(self, case_id: str, reason: Exception) -> None:
        """Set a case aside: its position stays, its later events wait in the log until somebody retries it."""
        async with writing(self._pool, self._model) as connection:
            await self._set_aside(connection, case_id, reason)
        await self._show_parked()

    async def retry(self, case_id: str) -> bool:
        """Take a parked case up again where it stopped; False when it is not parked.

        Raises what fails then: the case is parked at that event, and what comes before it is done.
        """
        async with writing(self._pool, self._model) as connection:
            found = await self._taken_up(connection, case_id)
            if found is None:
                return False
            failed = await self._go_on(connection, case_id, after=0)
            if failed and failed.version <= found.version:
                raise failed.reason  # it got no further: it stays parked as it was
            if failed:
                await self._set_aside(connection, case_id, failed.reason, failed.version)
        await self._show_parked()
        if failed:
            raise failed.reason
        log.info("parked_case_taken_up", service=self._model.service, case_id=case_id, version=found.position)
        return True

    async def dismiss(self, case_id: str, dismissal: Dismissal) -> bool:
        """Pass over the event that holds up a parked case, for good, and go on; False when the case is not parked.

        That is one that cannot be read, wherever it stands, or else the one at which the case was parked; nothing where
        there is no event, for a timer parked the case. Where another one fails then, the case is parked again, at that
        one. Raises what passes by itself.
        """
        service = self._model.service
        async with writing(self._pool, self._model) as connection:
            found = await self._taken_up(connection, case_id)
            if found is None:
                return False
            passed_over = (await dismissed(connection, service, [case_id])).get(case_id, frozenset())
            version = await self._log.unreadable(case_id, passed_over) or found.version
            if await self._log.stored(case_id, version):  # else it would be one that is still to come
                await connection.execute(
                    DISMISS.format(service=service),
                    *(case_id, version, dismissal.by, dismissal.principal, dismissal.reason),
                )
            await self._tell(case_id, "dismissed", version, dismissal._asdict())
            # A rebuild moves the position past events whose reactions are still owed.
            failed = await self._go_on(connection, case_id, after=min(found.position, found.version - 1))
            if failed:
                await self._set_aside(connection, case_id, failed.reason, failed.version)
        await self._show_parked()
        log.warning(
            "parked_event_dismissed", service=service, case_id=case_id, version=version, by=dismissal.by
        )
        return True

    async def parked_case(self, case_id: str) -> tuple[dict[str, object], Bare | None] | None:
        """A parked case, and the event that holds it up as it stands in the log; None when it is not parked."""
        service = self._model.service
        async with asking(self._pool, service) as connection:
            found = await connection.fetchrow(PARKED_ONE, case_id)
            passed_over = (await dismissed(connection, service, [case_id])).get(case_id, frozenset())
        if found is None:
            return None
        version = await self._log.unreadable(case_id, passed_over) or int(found["version"])
        return dict(found), await self._log.stored(case_id, version)

    async def parked(self, cases_max: int) -> list[dict[str, object]]:
        """The parked cases, the longest parked first."""
        async with asking(self._pool, self._model.service) as connection:
            return [dict(record) for record in await connection.fetch(LIST_PARKED, cases_max)]

    async def count_parked(self) -> int:
        """How many cases are parked."""
        async with asking(self._pool, self._model.service) as connection:
            return int(await connection.fetchval(COUNT_PARKED))

    async def _advance(self, connection: Connection, delivered: Sequence[Entry]) -> None:
        fresh, again = await take(connection, self._log, delivered, self._model.service)
        # Reactions follow what was delivered, not the position: the position may be ahead of them after a
        # rebuild or a lost acknowledgement, and a reaction done twice adds nothing.
        await self._react_to([*fresh, *again])
        await apply(connection, self._model, fresh)

    async def _react_to(self, entries: Sequence[Entry]) -> None:
        if self._react is nothing:
            return

        async def in_order(case: list[Entry]) -> None:
            for entry in case:
                await self._react(entry)

        ordered = sorted(entries, key=lambda entry: (entry.case_id, entry.version))
        cases = [list(case) for _, case in groupby(ordered, key=lambda entry: entry.case_id)]
        outcomes = await asyncio.gather(*(in_order(case) for case in cases), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _taken_up(self, connection: Connection, case_id: str) -> _Parked | None:
        position = await connection.fetchval(UNPARK, case_id)  # it locks the case: what is read then holds
        if position is None:
            return None
        return _Parked(int(await connection.fetchval(DELETE_PARKED, case_id)), int(position))

    async def _go_on(self, connection: Connection, case_id: str, *, after: int) -> _Failed | None:
        """One event after the other, so that the very one that fails is known, if one does: nothing came of it."""
        try:
            wanted = await self._wanted(connection, case_id)
        except CaseUnreadable as error:
            without = (await dismissed(connection, self._model.service, [case_id])).get(case_id, frozenset())
            version = await self._log.unreadable(case_id, without)
            if version is None:
                raise
            return _Failed(version, error)
        for entry in wanted:
            if entry.version <= after:
                continue
            try:
                async with connection.transaction():  # a savepoint: what was done before it stands
                    await self._advance(connection, [entry])
            except PASSING:
                raise
            except Exception as error:  # the next one that somebody must look at
                return _Failed(entry.version, error)
        return None

    async def _wanted(self, connection: Connection, case_id: str) -> list[Entry]:
        # Read while the case is locked: an event that was passed over because the case was parked is in
        # this reading, and one that comes after it finds the case parked no more.
        without = (await dismissed(connection, self._model.service, [case_id])).get(case_id, frozenset())
        newest = await self._log.newest(case_id)
        history = await self._log.load(case_id, at_least=newest, without=without)
        return [entry for entry in history.entries if entry.envelope.origin in self._model.origins]

    async def _set_aside(
        self, connection: Connection, case_id: str, reason: Exception, version: int | None = None
    ) -> None:
        service = self._model.service
        version, text = await set_aside(connection, case_id, reason, service, version)
        await self._tell(case_id, "parked", version, {"reason": text})
        telemetry.count_parked(service)
        log.error("case_parked", service=service, case_id=case_id, version=version, reason=text)

    async def _show_parked(self) -> None:
        telemetry.set_parked(self._model.service, await self.count_parked())

    async def _tell(self, case_id: str, what: str, version: int, details: Mapping[str, object]) -> None:
        service = self._model.service
        body = {
            "service": service,
            "case_id": case_id,
            "version": version,
            **details,
            f"{what}_at": datetime.now(UTC).isoformat(),
        }
        event_id = derived_event_id(what, service, case_id, str(version))
        message = Message(f"parked.{service}.{case_id}", orjson.dumps(body), expectation(event_id))
        await self._jetstream.publish(message)


async def set_aside(
    connection: Connection, case_id: str, reason: Exception, service: str, version: int | None = None
) -> tuple[int, str]:
    """Mark a case as parked; the version of the event that it waits at, and the reason as kept.

    Without *version* it is the next one that is to be applied.
    """
    text = f"{type(reason).__name__}: {reason}"[:REASON_CHARACTERS_MAX]
    await connection.execute(INSERT_MISSING, [case_id])
    [position] = await connection.fetch(LOCK_POSITIONS, [case_id])
    passed_over = (await dismissed(connection, service, [case_id])).get(case_id, frozenset())
    if version is None:
        version = _beyond(int(position["version"]), passed_over) + 1
    await connection.execute(MARK_PARKED, case_id)
    await connection.execute(INSERT_PARKED, case_id, version, text)
    return version, text


async def dismissed(
    connection: Connection, service: str, case_ids: Sequence[str]
) -> dict[str, frozenset[int]]:
    """The versions that are passed over for good, of those of the cases that have some."""
    found: dict[str, set[int]] = {}
    for case_id, version in await connection.fetch(DISMISSED.format(service=service), case_ids):
        found.setdefault(case_id, set()).add(version)
    return {case_id: frozenset(versions) for case_id, versions in found.items()}


def _beyond(position: int, passed_over: frozenset[int]) -> int:
    """The position, moved over what is passed over right behind it."""
    while position + 1 in passed_over:
        position += 1
    return position


async def take(
    connection: Connection, cases: Log, delivered: Sequence[Entry], service: str
) -> tuple[list[Entry], list[Entry]]:
    """Lock the cases of *delivered* and sort out: what is to be applied, in order, and what was applied before.

    Entries of parked cases, and what was dismissed, are in neither. Raises LogUnavailable when a missing event cannot
    be read yet.
    """
    by_case: dict[str, dict[int, Entry]] = {}
    for entry in delivered:
        by_case.setdefault(entry.case_id, {})[entry.version] = entry
    case_ids = sorted(by_case)  # everybody locks in this order
    await connection.execute(INSERT_MISSING, case_ids)
    positions = await connection.fetch(LOCK_POSITIONS, case_ids)
    passed_over = await dismissed(connection, service, case_ids)
    fresh: list[Entry] = []
    again: list[Entry] = []
    gaps: dict[str, int] = {}
    for case_id, position, parked in positions:
        if parked:
            continue
        without = passed_over.get(case_id, frozenset())
        versions = {version: entry for version, entry in by_case[case_id].items() if version not in without}
        again.extend(entry for version, entry in versions.items() if version <= position)
        news = [versions[version] for version in sorted(versions) if version > position]
        if news and _missing(position, news, without):
            gaps[case_id] = position
        else:
            fresh.extend(news)
    if gaps:
        fresh.extend(await _without_gaps(cases, gaps, by_case, passed_over))
    return fresh, again


def _missing(position: int, news: Sequence[Entry], without: frozenset[int]) -> bool:
    last = news[-1].version
    passed_over = sum(1 for version in without if position < version <= last)
    return last - position - passed_over != len(news)


async def _without_gaps(
    cases: Log,
    gaps: dict[str, int],
    by_case: dict[str, dict[int, Entry]],
    passed_over: Mapping[str, frozenset[int]],
) -> list[Entry]:
    histories = await cases.load_many([case_id for case_id in gaps if case_id not in passed_over])
    filled: list[Entry] = []
    for case_id, position in gaps.items():
        without = passed_over.get(case_id, frozenset())
        history = await cases.load(case_id, without=without) if without else histories[case_id]
        if history.version < max(version for version in by_case[case_id] if version not in without):
            raise LogUnavailable(f"the log does not show all events of case {case_id} yet")
        filled.extend(entry for entry in history.entries if entry.version > position)
    return filled


async def apply(connection: Connection, model: ReadModel, fresh: Sequence[Entry]) -> None:
    """Move the read models by *fresh* and the positions with them."""
    if not fresh:
        return
    await model.apply(connection, fresh)
    versions: dict[str, int] = {}
    for entry in fresh:
        versions[entry.case_id] = max(entry.version, versions.get(entry.case_id, 0))
    await connection.execute(MOVE_POSITIONS, list(versions), list(versions.values()))
