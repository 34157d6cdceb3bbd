"""The contracts over HTTP: the page, the AsyncAPI document and every JSON Schema, as they are committed."""

from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException
from fastapi import Path as InPath
from starlette.responses import Response

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "contracts"
PAGE: Final = "index.html"
FRESH_SECONDS: Final = 300
HEADERS: Final = {
    "Cache-Control": f"public, max-age={FRESH_SECONDS}",
    "Access-Control-Allow-Origin": "*",  # nothing here is secret, and tools in browsers read it
}
_MEDIA_TYPES: Final = {"asyncapi.json": "application/json", PAGE: "text/html; charset=utf-8"}
_SCHEMA: Final = "application/schema+json"


def contract_routes() -> APIRouter:
    """`/contracts/` and what stands there.  Raises OSError when the folder cannot be read."""
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.is_file()}
    router = APIRouter(prefix="/contracts", tags=["contracts"])

    @router.get("/", response_class=Response, summary="The contracts with other systems, as a page")
    async def page() -> Response:
        return _answer(files, PAGE)

    @router.get(
        "/{name}", response_class=Response, summary="`asyncapi.json`, or `<type>.json`: a JSON Schema"
    )
    async def file(name: Annotated[str, InPath(max_length=100)]) -> Response:
        return _answer(files, name)

    return router


def _answer(files: dict[str, bytes], name: str) -> Response:
    if name not in files:
        raise HTTPException(404, f"There is no contract {name}.")
    return Response(files[name], headers=HEADERS, media_type=_MEDIA_TYPES.get(name, _SCHEMA))
