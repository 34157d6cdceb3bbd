"""A document as XML and as JSON, each from the other by Open311's convention.

In XML a list has a name and its elements have another; in JSON the inner name is left out: `{"services": [{...}]}` is
`<services><service>...</service></services>`.  What is not known is an empty element, or null.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import islice
from typing import Any, Final

import orjson
from starlette.responses import Response

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
ELEMENT_OF: Final = {
    "attributes": "attribute",
    "endpoints": "endpoint",
    "errors": "error",
    "formats": "format",
    "notes": "note",
    "photos": "photo",
    "service_requests": "request",
    "services": "service",
    "values": "value",
}
"""What an element of each list is called in XML."""
# Control characters and lone surrogates that no XML document may hold, not even escaped.
_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPED: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_PLAIN: Final = re.compile("[^&<>\0-\x1f\ud800-\udfff\ufffe\uffff]*")
"""Most texts need none of this."""
PART_MAX: Final = 50


class Format(StrEnum):
    """How an answer is written."""

    XML = "xml"
    JSON = "json"


MEDIA_TYPES: Final = {Format.XML: "text/xml", Format.JSON: "application/json"}


def answer(
    root: str,
    document: Any,
    form: Format,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that holds *document*, whose name in XML is *root*."""
    content = xml(root, document) if form is Format.XML else orjson.dumps(document)
    content_type = f"{MEDIA_TYPES[form]}; charset=utf-8"
    return Response(content, status, {**(headers or {}), "Content-Type": content_type})


async def list_answer(
    root: str, documents: Iterable[Any], form: Format, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that holds a long list: others are served while it is written, PART_MAX elements at a time."""
    parts: list[bytes] = []
    rest = iter(documents)
    while part := list(islice(rest, PART_MAX)):
        parts.append(_xml_elements(root, part) if form is Format.XML else orjson.dumps(part)[1:-1])
        await asyncio.sleep(0)
    if form is Format.XML:
        content = b"".join((f"{DECLARATION}<{root}>".encode(), *parts, f"</{root}>".encode()))
    else:
        content = b"[" + b",".join(parts) + b"]"
    content_type = f"{MEDIA_TYPES[form]}; charset=utf-8"
    return Response(content, 200, {**(headers or {}), "Content-Type": content_type})


def _xml_elements(root: str, documents: Iterable[Any]) -> bytes:
    parts: list[str] = []
    for document in documents:
        _write(parts, ELEMENT_OF[root], document)
    return "".join(parts).encode()


def xml(root: str, document: Any) -> bytes:
    """The document in XML, with its declaration."""
    parts = [DECLARATION]
    _write(parts, root, document)
    return "".join(parts).encode()


def _write(parts: list[str], name: str, value: Any) -> None:
    match value:
        case None | "":
            parts.append(f"<{name}/>")
        case str():
            parts.append(f"<{name}>{_text(value)}</{name}>")
        case dict():
            parts.append(f"<{name}>")
            for key, each in value.items():
                _write(parts, key, each)
            parts.append(f"</{name}>")
        case list():
            parts.append(f"<{name}>")
            for each in value:
                _write(parts, ELEMENT_OF[name], each)
            parts.append(f"</{name}>")
        case bool():
            parts.append(f"<{name}>{'true' if value else 'false'}</{name}>")
        case _:
            parts.append(f"<{name}>{_text(str(value))}</{name}>")


def _text(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else _NOT_IN_XML.sub("\ufffd", text).translate(_ESCAPED)
