"""The process that rebuilds one service's read models: `python -m services.<name>.rebuild [--accept-differences]`.

With `--back` it goes back to the generation before.  With `--compare` it switches nothing, and drops what it built.
With `--part` it does its share of another one's rebuild.

It writes one JSON line for each step to stdout, logs to stderr:

    {"progress": {"position": 5000, "last_position": 283893}}
    {"report": {"service": "evaluation", "switched": true, "tables": [...], ...}}

or, at last, {"refused": "why"}. It ends with 0 when it switched, or compared and found nothing; with 1 otherwise.
"""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Final

import asyncpg
import orjson
import uvloop

from libs.events import streams, telemetry
from libs.events.away import DATABASE_AWAY
from libs.events.comparing import Report
from libs.events.errors import WhistleError
from libs.events.history import SealedSettings
from libs.events.jetstream import JetStream, connected
from libs.events.jetstream.reader import Credentials
from libs.events.log import opened
from libs.events.memory import spare_collector
from libs.events.readmodel import ReadModel, pool_of
from libs.events.rebuild import Rebuild
from libs.events.rebuild_parts import Part, Progress, Together, end_with_starter
from libs.events.settings import BusSettings, DatabaseSettings, TelemetrySettings, read

EXIT_NOT_SWITCHED: Final = 1
EXIT_INTERRUPTED: Final = 130
CONNECTIONS_MAX: Final = 3  # one holds the lock, one writes, one to spare


class RebuildSettings(TelemetrySettings, BusSettings, DatabaseSettings):
    """What a rebuild needs of its service's settings."""


def main(model: ReadModel) -> None:
    """Rebuild *model* as the command line and the environment say; ends the process."""
    asked = _asked(model)
    settings = read(RebuildSettings)
    telemetry.start(model.service, settings)
    spare_collector()
    try:
        report = uvloop.run(_rebuild(model, settings, _work_of(asked)))
    except (KeyboardInterrupt, BrokenPipeError):
        # Stopped, or nobody listens any more; Python would complain once more when it flushes stdout at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_INTERRUPTED)
    except (WhistleError, OSError, asyncpg.PostgresError, *DATABASE_AWAY) as error:
        _tell({"refused": str(error) or type(error).__name__})
        sys.exit(EXIT_NOT_SWITCHED)
    finally:
        telemetry.stop()
    if report is not None:
        _tell({"report": {**asdict(report), "differs": report.differs}})
        good = not report.differs if asked.compare else report.switched
        sys.exit(0 if good else EXIT_NOT_SWITCHED)


Work = Callable[[Rebuild], Awaitable[Report | None]]


def _asked(model: ReadModel) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"Rebuild the read models of {model.service}.")
    parser.add_argument(
        "--accept-differences", action="store_true", help="switch although old and new differ"
    )
    parser.add_argument("--back", action="store_true", help="go back to the generation before")
    parser.add_argument("--compare", action="store_true", help="compare, and switch nothing")
    parser.add_argument("--part", type=Part.parse, help="do this share of another process' rebuild")
    parser.add_argument("--generation", type=int, help="of a part: the tables that it fills")
    parser.add_argument("--last", type=int, help="of a part: the position that it reads up to")
    return parser.parse_args()


def _work_of(asked: argparse.Namespace) -> Work:
    accept: bool = asked.accept_differences

    async def part(rebuild: Rebuild) -> None:
        end_with_starter()
        await rebuild.part(asked.part, asked.generation, asked.last, _tell_progress)

    if asked.part:
        return part
    if asked.back:
        return lambda rebuild: rebuild.back(_tell_progress, accept_differences=accept)
    compare: bool = asked.compare
    return lambda rebuild: rebuild.run(_tell_progress, accept_differences=accept, only_compare=compare)


async def _rebuild(model: ReadModel, settings: RebuildSettings, work: Work) -> Report | None:
    password = settings.nats_password.get_secret_value()
    module = f"services.{model.service}.rebuild"
    async with (
        pool_of(settings.postgres_dsn.get_secret_value(), connections_max=CONNECTIONS_MAX) as pool,
        connected(settings.nats_url, user=settings.nats_user, password=password) as client,
        opened(client) as cases,
    ):
        jetstream = JetStream(client)
        wanted = [each for each in streams.log_streams(settings.stream_replicas) if each.name == "CASES"]
        await streams.check(jetstream, wanted)
        credentials = Credentials(settings.nats_user, password)
        together = Together.on_this_machine((sys.executable, "-P", "-m", module))
        sealed = read(SealedSettings).files()
        rebuild = Rebuild(model, pool, cases, jetstream, credentials, together=together, sealed=sealed)
        return await work(rebuild)


def _tell_progress(progress: Progress) -> None:
    _tell({"progress": asdict(progress)})


def _tell(line: Mapping[str, object]) -> None:
    sys.stdout.write(orjson.dumps(line).decode() + "\n")
    sys.stdout.flush()
