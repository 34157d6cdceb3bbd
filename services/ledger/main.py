"""The process of the ledger: the only file that wires its parts."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from libs.events.errors import StoreUnavailable
from libs.events.jetstream.reader import Credentials
from libs.events.ledger.notes import Note
from libs.events.runtime import Bus, access_of, needs, on_bus, readiness, run, together
from libs.events.settings import read
from libs.events.storage import FileStore, store_at
from libs.events.storage.locations import located
from libs.events.streams import LEDGER_STREAMS, Consumer, Stream
from libs.events.subjects import LEDGER
from libs.events.web import Readiness, serve, service_app
from services.ledger.board import Board
from services.ledger.refusing import Refusal
from services.ledger.routes import routes
from services.ledger.sealing import Rhythm, Sealer
from services.ledger.settings import LedgerSettings
from services.ledger.standing import EXIT_REFUSED, Standing
from services.ledger.tree import Office

LOOKED_SECONDS_MAX: Final = 20.0
"""So long is waited, before anybody is answered, until it is known how each stream stands; then they are answered that
it is not known yet."""
KEY_AGAIN_SECONDS: Final = 1.0
PUBLIC_KEY: Final = "key.pub"


def store_of(settings: LedgerSettings) -> FileStore:
    """Where the sealed files lie; a folder that is made here is for nobody else."""
    place = located(settings.ledger_store)
    if isinstance(place, Path):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return store_at(settings.ledger_store, settings)


async def lay_down_key(store: FileStore, key: str) -> None:
    """Put the public key beside the trees, for whoever checks them.  Raises Refusal where another one lies."""
    content = f"{key}\n".encode()
    if not await store.create(PUBLIC_KEY, content):
        found = await store.get(PUBLIC_KEY)
        if found != content:
            said = (found or b"").decode(errors="replace").strip()
            raise Refusal(f"what lies in the store was signed with {said}, and this key is {key}")


def sealers_of(settings: LedgerSettings, bus: Bus, store: FileStore) -> list[Sealer]:
    """One for each stream of evidence."""
    credentials = Credentials(settings.nats_user, settings.nats_password.get_secret_value())
    office = Office(bus.jetstream, store, settings.signer, Board(bus.jetstream), settings.ledger_reseal)
    rhythm = Rhythm(settings.ledger_checkpoint_seconds, settings.ledger_checkpoint_events)

    def told(stream: str, note: Note) -> None:
        """Nobody else is told yet."""
        del stream, note

    return [Sealer(office, credentials, Standing(stream), rhythm, told) for stream in LEDGER_STREAMS]


def app_of(
    settings: LedgerSettings,
    bus: Bus,
    wanted: tuple[Stream | Consumer, ...],
    sealers: list[Sealer],
    store: FileStore,
) -> FastAPI:
    """What is answered over HTTP."""

    async def ready() -> Readiness:
        checks = await readiness(bus, wanted)
        for sealer in sealers:
            checks += sealer.standing.checks(settings.lag_events_max)
        return Readiness(tuple(checks))

    app = service_app("Whistle · ledger", ready, access=access_of(settings, bus.jetstream))
    app.include_router(routes(store, str(settings.signer.verifier)))
    return app


async def main(settings: LedgerSettings) -> None:
    """Run until SIGTERM; ends the process with EXIT_REFUSED when a stream was not sealed."""
    wanted = needs([*LEDGER_STREAMS, LEDGER], settings.stream_replicas)
    store = store_of(settings)
    async with on_bus(settings, wanted) as bus:
        sealers = sealers_of(settings, bus, store)
        app = app_of(settings, bus, wanted, sealers, store)

        async def serving() -> None:
            # Whoever is answered is alive, and knows how the streams stand.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOKED_SECONDS_MAX):
                    await asyncio.gather(*(sealer.looked.wait() for sealer in sealers))
            await serve(app, settings.http_host, settings.http_port)

        await together(serving(), *(_sealing(sealer, store, settings) for sealer in sealers))
    if any(sealer.standing.refusal for sealer in sealers):
        raise SystemExit(EXIT_REFUSED)


async def _sealing(sealer: Sealer, store: FileStore, settings: LedgerSettings) -> None:
    while True:
        try:
            await lay_down_key(store, str(settings.signer.verifier))
        except StoreUnavailable as error:
            sealer.standing.trouble = str(error)
            sealer.looked.set()
            await asyncio.sleep(KEY_AGAIN_SECONDS)
        except Refusal as refusal:
            sealer.standing.refuse(str(refusal))
            sealer.looked.set()
            return
        else:
            break
    await sealer.run()


if __name__ == "__main__":
    SETTINGS = read(LedgerSettings)
    run("ledger", SETTINGS, lambda: main(SETTINGS))
