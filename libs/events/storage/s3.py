"""Files in a bucket of S3, or of whatever speaks it.

The client is obstore, the Python side of Rust's object_store: it signs (AWS Signature Version 4), checks certificates
and bounds time.  A file is one PUT, so it is there whole or not at all.
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store as Client

from libs.events.errors import StoreUnavailable
from libs.events.storage.locations import Bucket, checked
from libs.events.storage.settings import S3Settings

if TYPE_CHECKING:
    from obstore.store import S3Credential  # it is there for type checkers alone

CONNECT_SECONDS_MAX: Final = 5.0
FILE_BYTES_MAX: Final = 256 * 1024**2
REASON_CHARACTERS_MAX: Final = 300
_NO_SUCH_KEY: Final = "<Code>NoSuchKey</Code>"


def client_of(bucket: Bucket, settings: S3Settings, *, seconds_max: float) -> Client:
    """A client that gives up a request after *seconds_max*, and repeats none.

    Of a repeated create one could not say whether it was the first that stands there.  Raises ValueError where
    settings are missing.
    """
    if not (settings.s3_endpoint and settings.s3_access_key and settings.s3_secret_key.get_secret_value()):
        raise ValueError(
            "a location s3://... needs WHISTLE_S3_ENDPOINT, WHISTLE_S3_ACCESS_KEY and WHISTLE_S3_SECRET_KEY_FILE"
        )
    address = address_of(bucket, settings)
    return Client(
        bucket.name,
        prefix=bucket.prefix or None,
        # All of it, since what is left out is taken from variables AWS_... of the environment.
        config={
            "endpoint": address,
            "aws_endpoint_url_s3": address,
            "region": settings.s3_region,
            "virtual_hosted_style_request": not settings.s3_path_style,
            "skip_signature": False,
            "disable_bulk_delete": True,  # its checksum is spelled in ways that not every server knows
        },
        client_options={
            "allow_http": settings.s3_endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS_MAX),
            "timeout": timedelta(seconds=seconds_max),
        },
        retry_config={"max_retries": 0},
        credential_provider=lambda: _credential(settings),
    )


def _credential(settings: S3Settings) -> "S3Credential":
    return {
        "access_key_id": settings.s3_access_key,
        "secret_access_key": settings.s3_secret_key.get_secret_value(),
        "token": None,
        "expires_at": None,
    }


def address_of(bucket: Bucket, settings: S3Settings) -> str:
    """Where the client sends requests: the server, or the bucket's own name below it."""
    if settings.s3_path_style:
        return settings.s3_endpoint
    scheme, _, host = settings.s3_endpoint.partition("://")
    return f"{scheme}://{bucket.name}.{host}"


class S3Store:
    """A FileStore in a bucket."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def put(self, name: str, content: bytes) -> None:
        """As FileStore says."""
        assert len(content) <= FILE_BYTES_MAX, "a file is one request"
        with definite():
            await obstore.put_async(self._client, checked(name), content, use_multipart=False)

    async def create(self, name: str, content: bytes) -> bool:
        """As FileStore says."""
        assert len(content) <= FILE_BYTES_MAX, "a file is one request"
        try:
            with definite():
                await obstore.put_async(
                    self._client, checked(name), content, mode="create", use_multipart=False
                )
        except AlreadyExistsError:
            return False
        return True

    async def get(self, name: str) -> bytes | None:
        """As FileStore says."""
        try:
            with definite():
                found = await obstore.get_async(self._client, checked(name))
                return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None

    async def names(self, prefix: str = "") -> AsyncGenerator[str]:
        """As FileStore says."""
        pages = obstore.list(self._client, checked(prefix) if prefix else None)
        while True:
            with definite():
                page = await anext(pages, None)
            if page is None:
                return
            for found in page:
                yield found["path"]

    async def delete(self, name: str) -> None:
        """As FileStore says."""
        try:
            with definite():
                await obstore.delete_async(self._client, checked(name))
        except FileNotFoundError:
            return


@contextmanager
def definite() -> Generator[None]:
    """Lets through FileNotFoundError and AlreadyExistsError as the bucket's own answers.

    Whatever else goes wrong is StoreUnavailable, and so is a bucket that is not there: its files are not gone.
    """
    try:
        yield
    except AlreadyExistsError:
        raise
    except FileNotFoundError as error:
        if _NO_SUCH_KEY not in str(error):
            raise StoreUnavailable(_reason(error)) from error
        raise
    except (BaseError, OSError) as error:
        raise StoreUnavailable(_reason(error)) from error


def _reason(error: Exception) -> str:
    # The first lines are for people; what comes behind them is the library's own structure.
    said = str(error).partition("\n\nDebug source")[0]
    return said[:REASON_CHARACTERS_MAX]
