"""Public keys of departments: a small JSON file, without secrets, that an operator may keep under version control."""

import asyncio
import fcntl
import json
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import nkeys  # type: ignore[import-untyped]

from cli.departments.errors import HasKey, KeyringUnreadable, NoSuchKey, TooManyKeys
from cli.stack.files import write_atomically
from libs.events.subjects import token

KEYS_MAX: Final = 2
"""Keys of one department at the same time: the old one and the new one, while its systems change over."""
SEED_BYTES: Final = 32
LOCK_POLL_SECONDS: Final = 0.02
_SEED: Final = re.compile(r"SU[A-Z2-7]{56}")
_PUBLIC: Final = re.compile(r"U[A-Z2-7]{55}")


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that may sign in for a department."""

    public: str
    since: datetime


@dataclass(slots=True)
class Keyring:
    """Which keys each department has, by its code; the oldest first."""

    keys: dict[str, tuple[Key, ...]]
    sensors: dict[str, datetime] = field(default_factory=dict)
    """Sensors that may sign in, by their names, and since when; each has a password, which is not here."""

    rooms: dict[str, datetime] = field(default_factory=dict)
    """Rooms that history may be played to, by their names, and since when; their passwords are not here either."""

    def add(self, department: str, key: Key) -> None:
        """The department's first key.  Raises HasKey."""
        if self.keys.get(department):
            raise HasKey(
                f"{department} has a key: rotate or revoke it · {department} 已有密钥，请轮换（rotate）或吊销（revoke）"
            )
        self.keys[department] = (key,)

    def rotate(self, department: str, key: Key) -> None:
        """One key more, beside the one that it has.  Raises NoSuchKey or TooManyKeys."""
        had = self._of(department)
        if len(had) >= KEYS_MAX:
            raise TooManyKeys(
                f"{department} has {KEYS_MAX} keys: revoke the older first, {had[0].public}"
                f" · {department} 已有两个密钥，请先吊销旧的"
            )
        self.keys[department] = (*had, key)

    def revoke(self, department: str, public: str | None = None) -> tuple[Key, ...]:
        """Take away one key, or all; what was taken.  Raises NoSuchKey."""
        had = self._of(department)
        taken = tuple(key for key in had if public in {None, key.public})
        if not taken:
            raise NoSuchKey(f"{department} has no key {public} · {department} 没有此密钥")
        self.keys[department] = tuple(key for key in had if key not in taken)
        return taken

    def has(self, department: str, public: str) -> bool:
        """Whether this key may sign in for the department."""
        return any(key.public == public for key in self.keys.get(department, ()))

    def by_token(self) -> Mapping[str, Sequence[str]]:
        """The public keys as the accounts of the bus need them."""
        return {token(code): [key.public for key in keys] for code, keys in self.keys.items()}

    def sensor_tokens(self) -> Sequence[str]:
        """The subject tokens of the sensors."""
        return [token(name) for name in self.sensors]

    def room_tokens(self) -> Sequence[str]:
        """The subject tokens of the rooms."""
        return [token(name) for name in self.rooms]

    def _of(self, department: str) -> tuple[Key, ...]:
        keys = self.keys.get(department, ())
        if not keys:
            raise NoSuchKey(f"{department} has no key: add it · {department} 没有密钥，请先添加（add）")
        return keys


def new_seed() -> str:
    """The secret half of a new key, as NATS writes it (`SU...`)."""
    seed: bytes = nkeys.encode_seed(os.urandom(SEED_BYTES), nkeys.PREFIX_BYTE_USER)
    return seed.decode()


def public_of(seed: str) -> str:
    """The public half (`U...`).  Raises KeyringUnreadable for what is no seed of a user."""
    text = seed.strip()
    if not _SEED.fullmatch(text):
        raise KeyringUnreadable("this is no seed of a key (SU...) · 不是有效的密钥种子")
    return bytes(nkeys.from_seed(bytearray(text.encode())).public_key).decode()


def load(path: Path) -> Keyring:
    """What the file says; nothing when there is none.  Raises KeyringUnreadable."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        keys = {code: tuple(map(_key, keys)) for code, keys in content["departments"].items()}
        return Keyring(keys, _since(content.get("sensors", {})), _since(content.get("rooms", {})))
    except FileNotFoundError:
        return Keyring({})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeyringUnreadable(f"{path} is no file of keys · 密钥文件无法读取: {error}") from error


@asynccontextmanager
async def editing(path: Path) -> AsyncGenerator[Keyring]:
    """The keyring, for nobody else until the block ends; what is to remain of it is `save`d there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(lock):  # noqa: ASYNC110 - held by another process
            await asyncio.sleep(LOCK_POLL_SECONDS)
        yield load(path)
    finally:
        os.close(lock)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def save(path: Path, keyring: Keyring) -> None:
    """Write it down, whole or not at all."""
    departments = {
        code: [{"key": key.public, "since": key.since.isoformat()} for key in keys]
        for code, keys in sorted(keyring.keys.items())
        if keys
    }
    content: dict[str, Any] = {"departments": departments}
    for what, names in (("sensors", keyring.sensors), ("rooms", keyring.rooms)):
        if names:
            content[what] = {name: since.isoformat() for name, since in sorted(names.items())}
    write_atomically(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _since(names: Mapping[str, str]) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(since) for name, since in names.items()}


def _key(content: Mapping[str, Any]) -> Key:
    public = str(content["key"])
    if not _PUBLIC.fullmatch(public):
        raise ValueError(f"{public!r} is no public key of a user (U...)")
    return Key(public, datetime.fromisoformat(content["since"]))
