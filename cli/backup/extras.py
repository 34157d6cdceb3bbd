"""What is truth beside the events: the pictures that they name, and two buckets.

Receivers of notices have secrets in theirs, so each of its values is sealed for the master key of the vault, which
is kept elsewhere: whoever finds the backup reads none of them.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag

from cli.backup.checking import OnStep
from cli.backup.manifest import SaidList
from libs.events.errors import BackupRefused
from libs.events.jetstream import JetStream
from libs.events.keyvalue import KeyValue
from libs.events.objects import Object, Objects, PartMissing, Put
from libs.events.sealing import SUITE
from libs.events.storage import FileStore
from libs.events.subjects import KEYS, PHOTOS, RECEIVERS
from libs.events.vault.master import master_keys

PICTURES: Final = "pictures"
LISTS: Final = "lists"
BUCKETS: Final = (KEYS, RECEIVERS)
_BOUND: Final = b"whistle-backup/1 "


async def copy_pictures(jetstream: JetStream, store: FileStore, on_step: OnStep) -> SaidList:
    """Copy those that are missing; the list of all.  Raises LogUnavailable, StoreUnavailable."""
    photos = Objects(jetstream, PHOTOS)
    there = {name async for name in store.names(PICTURES)}
    found, kept = await photos.all(), list[Object]()
    for number, picture in enumerate(found):
        if picture.is_elsewhere or _path(picture) in there or await _copy(photos, picture, store):
            kept.append(picture)
        on_step("pictures", number + 1, len(found))
    size_bytes = sum(each.size_bytes for each in kept)
    return await _keep(store, [_said(each) for each in kept], size_bytes)


async def tidy_pictures(store: FileStore, said: SaidList) -> None:
    """Remove those that were erased since the backup before, and lists that are of no use any more."""
    wanted = {f"{PICTURES}/{each['name']}" for each in await entries(store, said)}
    async for name in store.names(PICTURES):
        if name not in wanted:
            await store.delete(name)


async def copy_bucket(jetstream: JetStream, bucket: str, store: FileStore, master: Path) -> SaidList:
    """Copy one bucket; the list of its keys.  Raises LogUnavailable, StoreUnavailable, VaultInconsistent."""
    values = await KeyValue(jetstream, bucket).all()
    sealed_for, public_key = "", None
    if bucket == RECEIVERS:
        sealed_for, private_key = master_keys(master)[0]
        public_key = private_key.public_key()
    lines: list[dict[str, Any]] = []
    for each in values:
        value = SUITE.encrypt(each.payload, public_key, _bound(each.key)) if public_key else each.payload
        lines.append({"key": each.key, "for": sealed_for, "value": b64encode(value).decode()})
    return await _keep(store, lines, sum(len(each.payload) for each in values))


async def restore_pictures(store: FileStore, said: SaidList, jetstream: JetStream, on_step: OnStep) -> None:
    """Put them back where they are not yet.  Raises BackupRefused for one that is not what its name says."""
    photos, listed = Objects(jetstream, PHOTOS), await entries(store, said)
    for number, each in enumerate(listed):
        picture = Object(**each, parts="", position=0)
        if picture.is_elsewhere:
            put = await photos.mention_again(picture)
        else:
            content = await _content(store, picture)
            put = await photos.put(picture.name, content, picture.media_type, picture.metadata)
        if put is Put.FULL:
            raise BackupRefused("the log has no room left for pictures: more room, then again · 图片存储已满")
        on_step("pictures", number + 1, len(listed))


async def restore_bucket(
    store: FileStore, said: SaidList, jetstream: JetStream, bucket: str, master: Path
) -> None:
    """Put its keys back where they are not yet.  Raises BackupRefused, VaultInconsistent without the master key."""
    kept = KeyValue(jetstream, bucket)
    for key, value in (await values_of(store, said, master)).items():
        await kept.put(key, value, 0)


async def values_of(store: FileStore, said: SaidList, master: Path) -> dict[str, bytes]:
    """The keys of a bucket with their values, opened.  Raises like `restore_bucket`."""
    found = {each["key"]: (each, b64decode(each["value"])) for each in await entries(store, said)}
    return {
        key: _opened(each, value, master) if each["for"] else value for key, (each, value) in found.items()
    }


async def check_pictures(store: FileStore, said: SaidList, on_step: OnStep) -> None:
    """Raises BackupRefused for one that is missing, or not what its name says."""
    listed = await entries(store, said)
    for number, each in enumerate(listed):
        if not each["is_elsewhere"]:
            await _content(store, Object(**each, parts="", position=0))
        on_step("pictures", number + 1, len(listed))


async def entries(store: FileStore, said: SaidList) -> list[dict[str, Any]]:
    """The lines of a list.  Raises BackupRefused when it is not the one that is named."""
    content = await store.get(said.file)
    if content is None or said.file != _list_of(content):
        raise BackupRefused(f"{said.file} is missing, or was changed · 清单缺失或被改动")
    return [json.loads(line) for line in content.splitlines()]


async def _copy(photos: Objects, picture: Object, store: FileStore) -> bool:
    try:
        content = await photos.content(picture)
    except PartMissing:  # it was erased just now
        return False
    if sha256(content).hexdigest() != picture.name:
        raise BackupRefused(f"picture {picture.name} is not what its name says: it was changed · 图片被改动")
    await store.put(_path(picture), content)
    return True


async def _content(store: FileStore, picture: Object) -> bytes:
    content = await store.get(_path(picture))
    if content is None or sha256(content).hexdigest() != picture.name:
        state = "is missing" if content is None else "was changed"
        raise BackupRefused(f"{_path(picture)} {state} · 图片缺失或被改动")
    return content


async def _keep(store: FileStore, lines: Sequence[dict[str, Any]], size_bytes: int) -> SaidList:
    content = b"".join(json.dumps(line, sort_keys=True).encode() + b"\n" for line in lines)
    file = _list_of(content)
    await store.put(file, content)
    return SaidList(file=file, entries=len(lines), size_bytes=size_bytes)


def _said(picture: Object) -> dict[str, Any]:
    return {name: value for name, value in asdict(picture).items() if name not in {"parts", "position"}}


def _opened(said: dict[str, Any], value: bytes, master: Path) -> bytes:
    keys = dict(master_keys(master))
    if said["for"] not in keys:
        raise BackupRefused(
            f"receivers are sealed for the master key {said['for']}, which is not in {master} · 缺少主密钥"
        )
    try:
        return SUITE.decrypt(value, keys[said["for"]], _bound(said["key"]))
    except (InvalidTag, ValueError) as error:
        raise BackupRefused(f"receiver {said['key']} was changed or cut · 内容被改动") from error


def _bound(key: str) -> bytes:
    return _BOUND + key.encode()


def _path(picture: Object) -> str:
    return f"{PICTURES}/{picture.name}"


def _list_of(content: bytes) -> str:
    return f"{LISTS}/{sha256(content).hexdigest()}"
