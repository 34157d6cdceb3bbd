"""The form of an export, file by file and line by line.

    export.json            what was asked for; of each stream its name, origin, the size of its checkpoint, events
    <STREAM>/events.jsonl  each event as it was stored, byte for byte, one a line
    <STREAM>/leaves.txt    beside each: <sequence> <form> <hash of the leaf> <subject> <event id>
    <STREAM>/hashes.txt    of the events that are not here, subtree by subtree: <first>-<last> <hash>
    <STREAM>/checkpoint    the signed note under which all this is proved
    <STREAM>/since.txt     if asked for: that the tree only grew since an older checkpoint

The form of a line is `json`, or `base64` for what would be no line of JSON: then it reads {"base64":"..."}.  Hashes are
in hexadecimal.  The public key is not part of it: a key that comes with what it proves, proves nothing.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from libs.events.auditing.asking import Asked, as_json, asked_of
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.merkle import Node

FORMAT: Final = "whistle-export/1"
ABOUT: Final = "export.json"
EVENTS: Final = "events.jsonl"
LEAVES: Final = "leaves.txt"
HASHES: Final = "hashes.txt"
CHECKPOINT: Final = "checkpoint"
SINCE: Final = "since.txt"
ABOUT_BYTES_MAX: Final = 100_000
SIZE_MAX: Final = 1 << 62
"""Events of a tree; a larger one is nobody's."""
JSON: Final = b"json"
BASE64: Final = b"base64"
_WRAPPED: Final = (b'{"base64":"', b'"}')


class ExportBroken(Exception):
    """What lies there is no export, or not a whole one; the text says why, in both languages."""


class Part(NamedTuple):
    """One stream of an export."""

    stream: str
    origin: str
    size: int
    """Events up to the checkpoint."""
    events: int
    """Events in the export."""


@dataclass(frozen=True, slots=True)
class About:
    """What `export.json` says."""

    asked: Asked
    parts: tuple[Part, ...]

    def encode(self) -> bytes:
        """The bytes of the file."""
        content = {
            "format": FORMAT,
            "asked": as_json(self.asked),
            "streams": [each._asdict() for each in self.parts],
        }
        return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def about_of(content: bytes) -> About:
    """What the file says.  Raises ExportBroken."""
    try:
        read: dict[str, Any] = json.loads(content)
        if read["format"] != FORMAT:
            raise ExportBroken(
                f"this is no export of the form {FORMAT}: {read['format']!r} · 不是本系统的导出"
            )
        about = About(asked_of(read["asked"]), tuple(Part(**each) for each in read["streams"]))
        if about.encode() != content:
            raise ValueError("it is not in its only spelling")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise ExportBroken(f"{ABOUT} was cut or changed: {reason} · 导出说明被截断或改动") from error
    for part in about.parts:
        if not _is_sound(part):
            raise ExportBroken(f"{ABOUT} does not describe a stream: {tuple(part)!r} · 流的说明无效")
    return about


def _is_sound(part: Part) -> bool:
    texts, numbers = (part.stream, part.origin), (part.size, part.events)
    return (
        all(type(each) is str and each.isprintable() for each in texts)
        and all(type(each) is int for each in numbers)
        and all(0 <= each <= SIZE_MAX for each in numbers)
        and part.stream.isalnum()
        and part.stream.isascii()
    )


def event_line(payload: bytes) -> tuple[bytes, bytes]:
    """The form of the payload's line, and the line without its end."""
    if b"\n" not in payload and b"\r" not in payload and payload.startswith(b"{"):
        try:
            orjson.loads(payload)
        except orjson.JSONDecodeError:
            pass
        else:
            return JSON, payload
    before, behind = _WRAPPED
    return BASE64, before + b64encode(payload) + behind


def payload_of(form: bytes, line: bytes) -> bytes:
    """The payload behind a line.  Raises ValueError for a line that is not in its form."""
    if form == JSON:
        return line
    before, behind = _WRAPPED
    payload = b64decode(line[len(before) : -len(behind)], validate=True)
    if form != BASE64 or before + b64encode(payload) + behind != line:
        raise ValueError("not a line in its form")
    return payload


def leaf_line(leaf: Leaf, content: bytes, form: bytes) -> bytes:
    """The line of `leaves.txt` of an event with this hash, whose payload's line has this form."""
    return b"%d %b %b %b %b\n" % (
        leaf.sequence, form, content.hex().encode(), leaf.subject.encode(), leaf.event_id.encode(),
    )  # fmt: skip


def hash_line(node: Node, content: bytes) -> bytes:
    """The line of `hashes.txt` of a subtree."""
    first, last = places(node)
    return b"%d-%d %b\n" % (first, last, content.hex().encode())


def places(node: Node) -> tuple[int, int]:
    """The sequences of the first and the last event of a subtree."""
    return (node.number << node.level) + 1, (node.number + 1) << node.level


def since_lines(size: int, hashes: Iterable[bytes]) -> bytes:
    """The content of `since.txt`: the older size, and the proof of RFC 9162, a hash a line."""
    return b"".join([b"%d\n" % size, *(b"%b\n" % each.hex().encode() for each in hashes)])


def since_of(content: bytes) -> tuple[int, Sequence[bytes]]:
    """The older size and the proof.  Raises ExportBroken."""
    try:
        size, *lines = content.decode().splitlines()
        found = int(size), [bytes.fromhex(line) for line in lines]
        if since_lines(*found) != content:
            raise ValueError("it is not in its only spelling")
    except ValueError as error:
        raise ExportBroken(f"{SINCE} was cut or changed: {error} · 一致性证明被改动") from error
    return found


def content_of(path: Path, bytes_max: int, missing: str) -> bytes:
    """All that stands in a small file.  Raises ExportBroken, which says *missing* where there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ExportBroken(f"{path}: {missing}") from error
    except OSError as error:
        raise ExportBroken(f"{path}: {error.strerror} · 无法读取") from error
    if len(content) > bytes_max:
        raise ExportBroken(f"{path}: larger than {bytes_max} bytes · 文件过大")
    return content
