"""Whole files under names, in a folder or in a bucket of S3: for what must outlive the log and its servers.

`store_at` opens one by its location: a folder's path, or `s3://bucket` or `s3://bucket/prefix`.
"""

from collections.abc import AsyncGenerator
from typing import Final, Protocol

from libs.events.storage.folder import FolderStore
from libs.events.storage.locations import Bucket, located
from libs.events.storage.s3 import S3Store, client_of
from libs.events.storage.settings import S3Settings

REQUEST_SECONDS_MAX: Final = 60.0
"""For one file to be written or read in a bucket; then StoreUnavailable."""


class FileStore(Protocol):
    """Files that a reader sees whole or not at all.

    A name is made of segments, `2026/11/sealed-1.zst`: letters, digits, `.`, `_`, `=` and `-`, and no segment begins
    with a dot.  Every call raises NotAName for another one, and StoreUnavailable where the store gives no definite
    answer: what was to be written may be written then, or not.
    """

    async def put(self, name: str, content: bytes) -> None:
        """Store *content* under *name*, in place of what stood there; it is on the disk when this returns."""
        ...

    async def create(self, name: str, content: bytes) -> bool:
        """The same where nothing stands yet; False, and nothing is changed, where something does.

        Whoever repeats it after StoreUnavailable may find there what was written the first time.
        """
        ...

    async def get(self, name: str) -> bytes | None:
        """All that stands under *name*; None if nothing does."""
        ...

    def names(self, prefix: str = "") -> AsyncGenerator[str]:
        """The names below the segments of *prefix*, in any order: `2026` finds `2026/11/a`, not `2026a`."""
        ...

    async def delete(self, name: str) -> None:
        """Remove what stands under *name*, if anything does."""
        ...


def store_at(location: str, s3: S3Settings, *, seconds_max: float = REQUEST_SECONDS_MAX) -> FileStore:
    """The store there; nothing is asked of it yet.

    A bucket gives up a request after *seconds_max*.  Raises ValueError for what is no location, or has no key.
    """
    place = located(location)
    if isinstance(place, Bucket):
        return S3Store(client_of(place, s3, seconds_max=seconds_max))
    return FolderStore(place)


__all__ = ["FileStore", "FolderStore", "S3Settings", "S3Store", "store_at"]
