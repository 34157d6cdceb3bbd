"""What the ledger answers: checkpoints and hashes, never an event."""

import re
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException
from fastapi import Path as InPath
from fastapi.responses import PlainTextResponse
from starlette.responses import Response

from libs.events.access.web import may
from libs.events.errors import StoreUnavailable
from libs.events.storage import FileStore
from libs.events.streams import LEDGER_STREAMS

RETRY_AFTER_SECONDS: Final = 5
SIZE_DIGITS_MAX: Final = 19
_STREAM: Final = f"^({'|'.join(LEDGER_STREAMS)})$"
_TILE: Final = re.compile(r"tile/[0-9]{1,2}/(x[0-9]{3}/){0,6}[0-9]{3}(\.p/[0-9]{1,3})?", re.ASCII)

StreamName = Annotated[str, InPath(pattern=_STREAM, description="the sealed stream")]
Size = Annotated[int, InPath(ge=1, lt=10**SIZE_DIGITS_MAX, description="the events under the checkpoint")]
TilePath = Annotated[
    str, InPath(max_length=64, description="as C2SP tlog-tiles names them: 0/000, 0/x001/234.p/17")
]


def routes(store: FileStore, key: str) -> APIRouter:
    """The reads of the ledger."""
    router = APIRouter(tags=["proofs"], dependencies=[Depends(may("see-proofs"))])

    @router.get(
        "/key", summary="The public key that checkpoints are signed with", response_class=PlainTextResponse
    )
    async def public_key() -> str:
        return f"{key}\n"

    @router.get(
        "/checkpoints/{stream}",
        summary="The newest checkpoint of a stream, as a signed note",
        response_class=PlainTextResponse,
    )
    async def newest(stream: StreamName) -> Response:
        return await _file(store, f"{stream}/checkpoint", "text/plain; charset=utf-8")

    @router.get(
        "/checkpoints/{stream}/{size}", summary="The checkpoint of a size", response_class=PlainTextResponse
    )
    async def of_size(stream: StreamName, size: Size) -> Response:
        return await _file(store, f"{stream}/checkpoints/{size:020d}", "text/plain; charset=utf-8")

    @router.get(
        "/tree/{stream}/tile/{path:path}",
        summary="Hashes of a tree, from which every proof can be made",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    async def tile(stream: StreamName, path: TilePath) -> Response:
        if not _TILE.fullmatch(f"tile/{path}"):
            raise HTTPException(404, "There is no such tile.")
        return await _file(store, f"{stream}/tile/{path}", "application/octet-stream")

    return router


async def _file(store: FileStore, name: str, media_type: str) -> Response:
    try:
        content = await store.get(name)
    except StoreUnavailable as error:
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        raise HTTPException(503, "The store gives no answer.", headers) from error
    if content is None:
        raise HTTPException(404, "There is none.")
    return Response(content, media_type=media_type)
