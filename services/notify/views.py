"""Notify keeps no read model but its positions: what was told stands in the stream `NOTICES`."""

from collections.abc import Sequence
from typing import Final

from libs.events.envelope import Entry, Origin
from libs.events.readmodel import Connection, ReadModel


async def apply(_connection: Connection, _fresh: Sequence[Entry]) -> None:
    """Nothing to keep."""


MODEL: Final = ReadModel(
    service="notify", schema="", tables=(), apply=apply, origins=frozenset({Origin.LIVE})
)
