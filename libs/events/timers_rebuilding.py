"""The process that makes all timers of a service anew from the log: `python -m services.<name>.timers`.

It writes one JSON line for each step to stdout, logs to stderr:

    {"progress": {"step": "reading", "done": 5000, "of": 283893}}
    {"report": {"cases": 58251, "put_up": 812, "taken_down": 3, "cases_unreadable": 0, "unreadable_examples": []}}

or, at last, {"refused": "why"}. It ends with 0 when every case was looked at, with 1 otherwise. The service may go on
meanwhile, and it may be stopped and run again at any moment: each timer that stands as it should is left alone.
"""

import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Final

import orjson
import structlog
import uvloop

from libs.events import streams, telemetry
from libs.events.envelope import Origin
from libs.events.errors import CaseUnreadable, WhistleError
from libs.events.jetstream import JetStream, connected
from libs.events.jetstream.reader import Credentials, RawEvent, read
from libs.events.log import History, Log, opened
from libs.events.settings import BusSettings, TelemetrySettings
from libs.events.settings import read as read_settings
from libs.events.subjects import CASES, TIMERS, case_id_in
from libs.events.timekeeping import DeadlinesOf
from libs.events.timers import CASES_PER_PAGE_MAX, Deadlines, Kept, Standing, Timers

log = structlog.get_logger(__name__)

EXIT_INCOMPLETE: Final = 1
EXIT_INTERRUPTED: Final = 130
EXAMPLES_MAX: Final = 10
TELL_EVERY_EVENTS: Final = 20_000


class TimersSettings(TelemetrySettings, BusSettings):
    """What a rebuild of the timers needs of its service's settings."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it has come."""

    step: str
    """`reading` the log for cases, or `keeping` their timers."""
    done: int
    of: int


@dataclass(slots=True)
class Report:
    """What was found and done."""

    cases: int = 0
    """Cases with facts that were not imported, and cases for which a timer stood."""
    put_up: int = 0
    taken_down: int = 0
    cases_unreadable: int = 0
    """Their timers were left as they were."""
    unreadable_examples: list[str] = field(default_factory=list)

    def add(self, kept: Kept) -> None:
        """Count what one case took."""
        self.put_up += kept.put_up
        self.taken_down += kept.taken_down

    def add_unreadable(self, case_id: str, error: Exception) -> None:
        """Count a case whose facts cannot be understood."""
        log.error("timers_not_rebuilt", case_id=case_id, reason=str(error))
        self.cases_unreadable += 1
        if len(self.unreadable_examples) < EXAMPLES_MAX:
            self.unreadable_examples.append(case_id)


class Retiming:
    """One rebuild."""

    def __init__(
        self, jetstream: JetStream, cases: Log, credentials: Credentials, deadlines_of: DeadlinesOf
    ) -> None:
        self._jetstream = jetstream
        self._log = cases
        self._timers = Timers(jetstream)
        self._credentials = credentials
        self._deadlines_of = deadlines_of

    async def run(self, tell: Callable[[Progress], None]) -> Report:
        """Look at every case once.  Raises LogUnavailable or LogRefused."""
        found = dict.fromkeys([case_id async for case_id in self._live_cases(tell)])
        found.update(
            dict.fromkeys(sorted(await self._timers.cases()))
        )  # also of cases that the log does not hold
        case_ids = list(found)
        report = Report(cases=len(case_ids))
        for start in range(0, len(case_ids), CASES_PER_PAGE_MAX):
            await self._keep_part(case_ids[start : start + CASES_PER_PAGE_MAX], report)
            tell(Progress("keeping", min(start + CASES_PER_PAGE_MAX, len(case_ids)), len(case_ids)))
        return report

    async def _live_cases(self, tell: Callable[[Progress], None]) -> AsyncGenerator[str]:
        last, told = await self._log.last_position(), 0
        if not last:
            return
        # A case that goes on has an event behind closed books: the one that carried it forward.
        first = await self._log.first_position()
        async with aclosing(read(self._jetstream, self._credentials, start=first, stop=last)) as batches:
            async for batch in batches:
                for case_id in {case_id_in(raw.subject.decode()) for raw in batch if _is_live(raw)}:
                    yield case_id
                if batch[-1].sequence >= min(told + TELL_EVERY_EVENTS, last):
                    told = batch[-1].sequence
                    tell(Progress("reading", told, last))

    async def _keep_part(self, case_ids: Sequence[str], report: Report) -> None:
        standing = await self._timers.standing(case_ids)  # before the log is read: see Timers.keep
        try:
            histories = await self._log.load_many(case_ids)
        except CaseUnreadable:
            histories = {}  # one of them: each by itself shows which
        for case_id in case_ids:
            try:
                await self._keep_case(case_id, standing[case_id], histories.get(case_id), report)
            except CaseUnreadable as error:
                report.add_unreadable(case_id, error)

    async def _keep_case(
        self, case_id: str, standing: Mapping[str, Standing], history: History | None, report: Report
    ) -> None:
        async def wanted() -> Deadlines:
            return self._deadlines(await self._log.load(case_id))

        kept = None
        if history is not None:
            kept = await self._timers.adjust(case_id, standing, self._deadlines(history))
        report.add(kept or await self._timers.keep(case_id, wanted))

    def _deadlines(self, history: History) -> Deadlines:
        return self._deadlines_of(history.events)


def _is_live(raw: RawEvent) -> bool:
    try:
        return bool(orjson.loads(raw.payload)["origin"] == Origin.LIVE)
    except (ValueError, KeyError, TypeError):
        return True  # whatever it is: the case is looked at, and told as unreadable


def main(service: str, deadlines_of: DeadlinesOf) -> None:
    """Make the timers of *service* anew, as the environment says; ends the process."""
    settings = read_settings(TimersSettings)
    telemetry.start(service, settings)
    try:
        report = uvloop.run(_rebuild(settings, deadlines_of))
    except (KeyboardInterrupt, BrokenPipeError):
        # Stopped, or nobody listens any more; Python would complain once more when it flushes stdout at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_INTERRUPTED)
    except (WhistleError, OSError) as error:
        _tell({"refused": str(error) or type(error).__name__})
        sys.exit(EXIT_INCOMPLETE)
    finally:
        telemetry.stop()
    _tell({"report": asdict(report)})
    sys.exit(EXIT_INCOMPLETE if report.cases_unreadable else 0)


async def _rebuild(settings: TimersSettings, deadlines_of: DeadlinesOf) -> Report:
    password = settings.nats_password.get_secret_value()
    async with (
        connected(settings.nats_url, user=settings.nats_user, password=password) as client,
        opened(client) as cases,
    ):
        jetstream = JetStream(client)
        declared = streams.log_streams(settings.stream_replicas)
        await streams.check(jetstream, [each for each in declared if each.name in {CASES, TIMERS}])
        credentials = Credentials(settings.nats_user, password)
        retiming = Retiming(jetstream, cases, credentials, deadlines_of)
        return await retiming.run(lambda progress: _tell({"progress": asdict(progress)}))


def _tell(line: Mapping[str, object]) -> None:
    sys.stdout.write(orjson.dumps(line).decode() + "\n")
    sys.stdout.flush()
