"""Public keys of departments: what may be changed, and how they are kept."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.departments.errors import HasKey, KeyringUnreadable, NoSuchKey, TooManyKeys
from cli.departments.keyring import Key, Keyring, editing, load, new_seed, public_of, save
from cli.departments.placing import Elsewhere
from cli.departments.serving import write_seed

SINCE = datetime(2026, 5, 1, 9, tzinfo=UTC)
FIRST, SECOND, THIRD = (Key(public_of(new_seed()), SINCE) for _ in range(3))


def test_a_new_key_works_beside_the_old_one_until_that_is_revoked() -> None:
    ring = Keyring({})
    ring.add("No Q", FIRST)
    ring.rotate("No Q", SECOND)
    assert ring.by_token() == {"No_20Q": [FIRST.public, SECOND.public]}
    assert ring.revoke("No Q", FIRST.public) == (FIRST,)
    assert ring.has("No Q", SECOND.public)
    assert not ring.has("No Q", FIRST.public)
    ring.rotate("No Q", THIRD)
    assert ring.revoke("No Q") == (SECOND, THIRD)
    assert ring.by_token() == {"No_20Q": []}
    ring.add("No Q", FIRST)


def test_what_cannot_be_is_refused() -> None:
    ring = Keyring({"water": (FIRST,)})
    with pytest.raises(HasKey, match="rotate"):
        ring.add("water", SECOND)
    with pytest.raises(NoSuchKey, match="add it"):
        ring.rotate("fire", SECOND)
    with pytest.raises(NoSuchKey):
        ring.revoke("water", SECOND.public)
    ring.rotate("water", SECOND)
    with pytest.raises(TooManyKeys, match=FIRST.public):
        ring.rotate("water", THIRD)
    assert ring.keys == {"water": (FIRST, SECOND)}


def test_the_file_holds_no_secret_and_gives_back_what_was_saved(tmp_path: Path) -> None:
    file, seed = tmp_path / "departments.json", new_seed()
    keys = {"water": (Key(public_of(seed), SINCE), SECOND), "fire": ()}
    ring = Keyring(keys, {"level 7": SINCE}, {"new system": SINCE})
    save(file, ring)
    assert seed not in file.read_text()
    assert load(file).keys == {"water": ring.keys["water"]}
    assert load(file).sensors == {"level 7": SINCE}
    assert load(file).rooms == {"new system": SINCE}
    assert load(file).room_tokens() == ["new_20system"]
    assert load(file).sensor_tokens() == ["level_207"]
    assert load(tmp_path / "none.json").keys == {}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"departments": []}', '{"departments": {"water": [{"key": "SUAB", "since": "x"}]}}'],
)
def test_another_file_is_told_from_one_of_keys(tmp_path: Path, content: str) -> None:
    file = tmp_path / "departments.json"
    file.write_text(content)
    with pytest.raises(KeyringUnreadable, match="is no file of keys"):
        load(file)


async def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "departments.json"

    async def add(code: str) -> None:
        async with editing(file) as ring:
            await asyncio.sleep(0)
            ring.add(code, FIRST)
            save(file, ring)

    await asyncio.gather(*(add(f"d{number}") for number in range(20)))
    assert len(json.loads(file.read_text())["departments"]) == 20


async def test_the_accounts_of_servers_elsewhere_are_for_those_servers_to_read(tmp_path: Path) -> None:
    """In a container they run as somebody else, who has no right to pass over the mode of a file."""
    place = Elsewhere(tmp_path / "departments.json", tmp_path / "accounts.conf", tmp_path)
    await place.change(lambda ring: ring.add("water", FIRST))
    assert FIRST.public in place.accounts.read_text()
    assert place.accounts.stat().st_mode & 0o777 == 0o644


def test_a_seed_lies_in_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "water.nk"
    file.write_text("older")
    file.chmod(0o644)
    write_seed(file, new_seed())
    assert file.stat().st_mode & 0o777 == 0o600
    public_of(file.read_text())
    with pytest.raises(KeyringUnreadable):
        public_of(FIRST.public)
