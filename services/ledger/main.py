"""The process of the ledger: the only file that wires its parts."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from libs.events.errors import StoreUnavailable
from libs.events.jetstream.reader import Credentials
from libs.events.ledger.archive import PUBLIC_KEY
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
from services.ledger.witnessing.asking import Asker, asking
from services.ledger.witnessing.stamps import Stamping
from services.ledger.witnessing.witnesses import Newest, Shelf, Witnessing, witnesses_of

LOOKED_SECONDS_MAX: Final = 20.0
"""So long is waited, before anybody is answered, until it is known how each stream stands; then they are answered that
it is not known yet."""
KEY_AGAIN_SECONDS: Final = 1.0


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


def sealers_of(settings: LedgerSettings, bus: Bus, shelf: Shelf, newest: Newest) -> list[Sealer]:
    """One for each stream of evidence."""
    credentials = Credentials(settings.nats_user, settings.nats_password.get_secret_value())
    board = Board(bus.jetstream)
    office = Office(bus.jetstream, shelf.store, settings.signer, board, shelf.keeping, settings.ledger_reseal)
    rhythm = Rhythm(settings.ledger_checkpoint_seconds, settings.ledger_checkpoint_events)
    return [Sealer(office, credentials, Standing(stream), rhythm, newest.tell) for stream in LEDGER_STREAMS]


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


def others_of(
    settings: LedgerSettings, shelf: Shelf, asker: Asker, newest: Newest
) -> list[Coroutine[Any, Any, None]]:
    """Those who are shown checkpoints, at work."""
    witnesses = witnesses_of(settings.ledger_witnesses)
    found: list[Coroutine[Any, Any, None]] = [
        Witnessing(each, shelf, asker, newest).run() for each in witnesses
    ]
    if url := settings.ledger_tsa_url:
        found.append(Stamping(url, settings.ledger_stamp_seconds, shelf, asker, newest).run())
    return found


async def main(settings: LedgerSettings) -> None:
    """Run until SIGTERM; ends the process with EXIT_REFUSED when a stream was not sealed."""
    wanted = needs([*LEDGER_STREAMS, LEDGER], settings.stream_replicas)
    store = store_of(settings)
    shelf, newest = Shelf(store, settings.signer.name, asyncio.Lock()), Newest()
    async with on_bus(settings, wanted) as bus, asking() as asker:
        sealers = sealers_of(settings, bus, shelf, newest)
        app = app_of(settings, bus, wanted, sealers, store)

        async def serving() -> None:
            # Whoever is answered is alive, and knows how the streams stand.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOKED_SECONDS_MAX):
                    await asyncio.gather(*(sealer.looked.wait() for sealer in sealers))
            await serve(app, settings.http_host, settings.http_port)

        sealing = (_sealing(sealer, store, settings) for sealer in sealers)
        await together(serving(), *sealing, *others_of(settings, shelf, asker, newest))
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
