"""The process that rebuilds one service's read models: `python -m services.<name>.rebuild [--accept-differences]`.

It writes one JSON line for each step to stdout, logs to stderr:

    {"progress": {"position": 5000, "last_position": 283893}}
    {"report": {"service": "evaluation", "switched": true, "tables": [...], ...}}

or, at last, {"refused": "why"}. It ends with 0 when it switched, with 1 when the old read models go on.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

import asyncpg
import orjson
import uvloop

from libs.events import streams, telemetry
from libs.events.errors import WhistleError
from libs.events.jetstream import JetStream, connected
from libs.events.jetstream.reader import Credentials
from libs.events.log import opened
from libs.events.readmodel import ReadModel, pool_of
from libs.events.rebuild import Progress, Rebuild, Report
from libs.events.settings import BusSettings, DatabaseSettings, TelemetrySettings, read

EXIT_NOT_SWITCHED: Final = 1
EXIT_INTERRUPTED: Final = 130
CONNECTIONS_MAX: Final = 3  # one holds the lock, one writes, one to spare


class RebuildSettings(TelemetrySettings, BusSettings, DatabaseSettings):
    """What a rebuild needs of its service's settings."""


def main(model: ReadModel) -> None:
    """Rebuild *model* as the command line and the environment say; ends the process."""
    parser = argparse.ArgumentParser(description=f"Rebuild the read models of {model.service}.")
    parser.add_argument(
        "--accept-differences", action="store_true", help="switch although old and new differ"
    )
    accept: bool = parser.parse_args().accept_differences
    settings = read(RebuildSettings)
    telemetry.start(model.service, settings)
    try:
        report = uvloop.run(_rebuild(model, settings, accept_differences=accept))
    except (KeyboardInterrupt, BrokenPipeError):
        # Stopped, or nobody listens any more; Python would complain once more when it flushes stdout at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_INTERRUPTED)
    except (WhistleError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _tell({"refused": str(error) or type(error).__name__})
        sys.exit(EXIT_NOT_SWITCHED)
    finally:
        telemetry.stop()
    _tell({"report": {**asdict(report), "differs": report.differs}})
    sys.exit(0 if report.switched else EXIT_NOT_SWITCHED)


async def _rebuild(model: ReadModel, settings: RebuildSettings, *, accept_differences: bool) -> Report:
    password = settings.nats_password.get_secret_value()
    async with (
        pool_of(settings.postgres_dsn.get_secret_value(), connections_max=CONNECTIONS_MAX) as pool,
        connected(settings.nats_url, user=settings.nats_user, password=password) as client,
        opened(client) as cases,
    ):
        jetstream = JetStream(client)
        wanted = [each for each in streams.log_streams(settings.stream_replicas) if each.name == "CASES"]
        await streams.check(jetstream, wanted)
        rebuild = Rebuild(model, pool, cases, jetstream, Credentials(settings.nats_user, password))
        return await rebuild.run(_tell_progress, accept_differences=accept_differences)


def _tell_progress(progress: Progress) -> None:
    _tell({"progress": asdict(progress)})


def _tell(line: Mapping[str, object]) -> None:
    sys.stdout.write(orjson.dumps(line).decode() + "\n")
    sys.stdout.flush()
