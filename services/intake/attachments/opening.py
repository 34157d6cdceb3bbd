"""The wiring of attachments: a connection of their own, the two stores, the scanner of the city's choice."""

import shlex
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx

from libs.events.calling import Transport
from libs.events.jetstream import JetStream, connected
from libs.events.photos import Album
from libs.events.settings import BusSettings
from libs.events.storage import store_at
from services.intake.attachments.bucket import STORE_SECONDS_MAX, PhotoBucket
from services.intake.attachments.keeping import Gallery
from services.intake.attachments.pictures import Pictures
from services.intake.attachments.routes import Door
from services.intake.attachments.scanning import AddressScan, CommandScan, NoScan, Scan
from services.intake.attachments.settings import AttachmentSettings


@dataclass(frozen=True, slots=True)
class Attachments:
    """Pictures, as intake has to do with them."""

    album: Album
    gallery: Gallery
    door: Door


@asynccontextmanager
async def opened(
    bus: BusSettings, settings: AttachmentSettings, zone: Callable[[], ZoneInfo], now: Callable[[], datetime]
) -> AsyncGenerator[Attachments]:
    """Attachments, for as long as the block lasts; *zone* is that of a camera which names none."""
    password = bus.nats_password.get_secret_value()
    # Not over the connection of the log: a report would wait behind ten megabytes.
    async with (
        connected(
            bus.nats_url, user=bus.nats_user, password=password, name=f"{bus.nats_user}-photos"
        ) as client,
        httpx.AsyncClient(transport=Transport()) as http,
    ):
        album = Album(JetStream(client), now)
        gallery = Gallery(album, now, _bucket(settings))
        yield Attachments(album, gallery, Door(gallery, Pictures(_scan(settings, http)), zone))


def _bucket(settings: AttachmentSettings) -> PhotoBucket | None:
    if not settings.photos_at:
        return None
    return PhotoBucket(store_at(settings.photos_at, settings, seconds_max=STORE_SECONDS_MAX))


def _scan(settings: AttachmentSettings, http: httpx.AsyncClient) -> Scan:
    if settings.scan_command:
        return CommandScan(shlex.split(settings.scan_command))
    address = settings.scan_url.get_secret_value()
    return AddressScan(address, http) if address else NoScan()
