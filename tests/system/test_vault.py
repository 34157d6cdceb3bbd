"""The vault on a real PostgreSQL: who may do what there, what the master key may go through, and what erasing means."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cli.embedded.postgres import SUPERUSER
from cli.stack.databases import prepare_databases
from cli.stack.plan import VAULT_INDEX
from cli.stack.state import Stack, dsn_for
from libs.events.errors import SealBroken, VaultInconsistent, VaultUnavailable
from libs.events.readmodel import Pool
from libs.events.sealing import Contact, Forgotten, Spot, bytes_of, person_of, text_of
from libs.events.vault.index import Index
from libs.events.vault.keeping import begin, counts, erase, persons_of, rotate
from libs.events.vault.master import MasterFile, Published, master_keys
from libs.events.vault.opening import PostgresOpener
from libs.events.vault.store import PostgresSealer, vault_at

WANG = Contact(name="王小明", phone="138 0013 8000", mail="Wang@example.com", text="六点后")


@dataclass(frozen=True, slots=True)
class Vault:
    """The vault, as each role sees it."""

    sealer: PostgresSealer
    opener: PostgresOpener
    index: Index
    keeper: Pool
    opening: Pool
    file: Path


@asynccontextmanager
async def opened(servers: Stack) -> AsyncGenerator[Vault]:
    file = servers.secrets_folder / "vault-master"
    index = Index(servers.secret(VAULT_INDEX))
    async with AsyncExitStack() as stack:
        pools = [
            await stack.enter_async_context(vault_at(servers.postgres_dsn(f"whistle_vault_{role}")))
            for role in ("sealer", "opener", "keeper")
        ]
        opener = PostgresOpener(pools[1], MasterFile(file), nobody)
        yield Vault(PostgresSealer(pools[0], index), opener, index, pools[2], pools[1], file)


async def nobody(_: str) -> bool:
    """Nobody's erasure is on record."""
    return False


def spot(number: int) -> Spot:
    return Spot(f"{number:020}")


async def test_who_seals_and_who_opens(servers: Stack) -> None:
    async with opened(servers) as vault:
        first = await vault.sealer.seal(WANG, spot(1))
        assert await vault.opener.open(first, spot(1)) == WANG
        with pytest.raises(SealBroken):
            await vault.opener.open(first, spot(2))
        second = await vault.sealer.seal(
            Contact(name="小王", phone="+86 13800138000", mail=" wang@EXAMPLE.com"), spot(2)
        )
        assert person_of(second) == person_of(first), "the same number and address, however it is written"
        nameless = await vault.sealer.seal(Contact(name="王小明"), spot(3))
        again = await vault.sealer.seal(Contact(name="王小明", text="x"), spot(3))
        elsewhere = await vault.sealer.seal(Contact(name="王小明"), spot(4))
        assert person_of(nameless) == person_of(again)
        assert len({person_of(each) for each in (first, nameless, elsewhere)}) == 3
        typed = await vault.sealer.seal(Contact(typed="电话 138-0013-8000"), spot(5))
        assert await persons_of(vault.keeper, vault.index, "8613800138000") == sorted(
            [person_of(first), person_of(typed)]
        )
        stranger = f"sealed.v1.p{'0' * 20}.AAAA"
        with pytest.raises(VaultInconsistent):
            await vault.opener.open(stranger, spot(1))


async def test_of_many_at_once_one_person_comes(servers: Stack) -> None:
    async with opened(servers) as vault:
        contact = Contact(phone="13900139000")
        sealed = await asyncio.gather(*(vault.sealer.seal(contact, spot(number)) for number in range(20)))
        assert len({person_of(each) for each in sealed}) == 1
        before = (await counts(vault.keeper))[0]["values_sealed"]
        await asyncio.gather(*(vault.sealer.discard(each) for each in sealed[1:]))
        assert (await counts(vault.keeper))[0]["values_sealed"] == before - 19
        assert await vault.opener.open(sealed[0], spot(0)) == contact, "one of them was written"
        await vault.sealer.discard(sealed[0])
        assert await persons_of(vault.keeper, vault.index, contact.phone) == [], "no orphan stays"


SECRETS = "SELECT wrapped_key FROM vault.persons"
FORBIDDEN = {
    "whistle_vault_sealer": [
        SECRETS,
        "SELECT person FROM vault.persons",
        "SELECT digest FROM vault.addresses",
        "DELETE FROM vault.persons",
        "INSERT INTO vault.master_keys VALUES ('x', decode(repeat('00', 32), 'hex'), true)",
        "SELECT vault.erase('x')",
    ],
    "whistle_vault_opener": [
        "SELECT contact_digest FROM vault.persons",
        "SELECT digest FROM vault.addresses",
        "UPDATE vault.persons SET wrapped_key = ''",
        "SELECT vault.known('', '{}')",
        "SELECT vault.discard('x')",
        "SELECT vault.erase('x')",
        "SELECT position FROM vault.carried_out",
    ],
    "whistle_vault_keeper": [
        "UPDATE vault.persons SET public_key = NULL",
        "INSERT INTO vault.persons (person) VALUES ('x')",
        "DELETE FROM vault.persons",
        "DELETE FROM vault.carried_out",
    ],
    "whistle_intake": [SECRETS, "SELECT vault.known('', '{}')", "CREATE TABLE vault.mine (n int)"],
    "whistle_dispatch": [SECRETS],
    "whistle_evaluation": [SECRETS],
    "whistle_notify": [SECRETS],
}


@pytest.mark.parametrize("role", FORBIDDEN)
async def test_nobody_may_do_more_than_they_need(servers: Stack, role: str) -> None:
    connection = await asyncpg.connect(servers.postgres_dsn(role))
    try:
        for statement in FORBIDDEN[role]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await connection.execute(statement)
        if role.startswith("whistle_vault"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("CREATE SCHEMA mine")
    finally:
        await connection.close()


async def test_an_erased_person_is_forgotten_in_every_case(servers: Stack) -> None:
    async with opened(servers) as vault:
        gone, stays = Contact(phone="13700137000", name="甲"), Contact(phone="13600136000", name="乙")
        sealed = [await vault.sealer.seal(gone, spot(number)) for number in (1, 2)]
        other = await vault.sealer.seal(stays, spot(1))  # two people in one case
        person = person_of(sealed[0])
        assert await erase(vault.keeper, person)
        assert not await erase(vault.keeper, person), "a second time there is nothing to destroy"
        for number, each in enumerate(sealed, 1):
            assert await vault.opener.open(each, spot(number)) == Forgotten(person)
        assert await vault.opener.open(other, spot(1)) == stays
        assert await persons_of(vault.keeper, vault.index, gone.phone) == []
        left = await vault.keeper.fetchrow("SELECT * FROM vault.persons WHERE person = $1", person)
        assert left is not None
        assert {name for name, value in left.items() if isinstance(value, bytes)} == set()
        anew = await vault.sealer.seal(gone, spot(3))
        assert person_of(anew) != person, "who comes again is somebody new"
        await vault.sealer.discard(sealed[0])
        assert await vault.opener.open(sealed[0], spot(1)) == Forgotten(person)


async def test_the_master_key_is_turned_while_people_seal_and_open_and_may_be_stopped(servers: Stack) -> None:
    async with opened(servers) as vault:
        contact = Contact(phone="13500135000")
        sealed = [await vault.sealer.seal(contact, spot(1))]
        ((old, _),) = master_keys(vault.file)
        await begin(vault.keeper, vault.file)
        await begin(vault.keeper, vault.file)  # a second time it is under way
        (new, _), (kept, _) = master_keys(vault.file)
        assert kept == old
        async for step in rotate(vault.keeper, vault.file):
            assert step.master_key_id == new
            sealed.append(await vault.sealer.seal(Contact(phone="13500135001"), spot(2)))
            assert await vault.opener.open(sealed[0], spot(1)) == contact
            break  # stopped right after the new one came into force
        assert len(master_keys(vault.file)) == 2
        done = [step.persons async for step in rotate(vault.keeper, vault.file)][-1]
        assert done >= 1
        assert [key for key, _ in master_keys(vault.file)] == [new]
        by_key = (await counts(vault.keeper))[1]
        assert [each["master_key_id"] for each in by_key] == [new], "nothing is left of the old one"
        fresh = PostgresOpener(vault.opening, MasterFile(vault.file), nobody)
        for opener in (vault.opener, fresh):
            assert await opener.open(sealed[0], spot(1)) == contact
            assert (await opener.open(sealed[1], spot(2))) == Contact(phone="13500135001")


async def test_without_its_master_key_a_vault_opens_nothing_and_is_not_taken_over(
    servers: Stack, tmp_path: Path
) -> None:
    async with opened(servers) as vault:
        sealed = await vault.sealer.seal(WANG, spot(1))
        other = tmp_path / "other"
        other.write_text("w" * 48)
        with pytest.raises(VaultInconsistent, match="is not in"):
            await PostgresOpener(vault.opening, MasterFile(other), nobody).open(sealed, spot(1))
        with pytest.raises(VaultInconsistent, match="is not in"):
            await begin(vault.keeper, other)
        admin = dsn_for(servers.postgres_admin_dsn, SUPERUSER, servers.secret(SUPERUSER), database="postgres")

        def secret(name: str) -> str:
            return other.read_text() if name == "vault-master" else servers.secret(name)

        with pytest.raises(VaultInconsistent, match="not among"):
            await prepare_databases(admin, secret, reset_passwords=False)
        await prepare_databases(admin, servers.secret, reset_passwords=False)
        assert await vault.opener.open(sealed, spot(1)) == WANG, "prepared again, nothing has changed"


class Kms:
    """Stands for a KMS: it has a key that nobody else sees."""

    def __init__(self) -> None:
        self._key = AESGCM(AESGCM.generate_key(256))
        self.asked = 0

    async def wrap(self, private_key: bytes, person: str, master: Published) -> str:
        nonce = os.urandom(12)
        return text_of(nonce + self._key.encrypt(nonce, private_key, person.encode()))

    async def unwrap(self, wrapped: str, person: str) -> bytes:
        self.asked += 1
        content = bytes_of(wrapped)
        return self._key.decrypt(content[:12], content[12:], person.encode())


async def test_a_kms_can_keep_the_master_key(servers: Stack) -> None:
    async with opened(servers) as vault, vault_at(servers.postgres_dsn("whistle_vault_sealer")) as pool:
        kms = Kms()
        sealed = await PostgresSealer(pool, vault.index, kms).seal(Contact(phone="13400134000"), spot(1))
        assert await PostgresOpener(vault.opening, kms, nobody).open(sealed, spot(1)) == Contact(
            phone="13400134000"
        )
        assert kms.asked == 1
        with pytest.raises(VaultInconsistent, match="not known"):
            await vault.opener.open(sealed, spot(1))
        assert await erase(vault.keeper, person_of(sealed))  # the rotation of other tests could not wrap it


async def test_a_vault_that_is_away_is_said_to_be(servers: Stack) -> None:
    async with vault_at("postgresql://nobody:none@127.0.0.1:1/whistle") as pool:
        with pytest.raises(VaultUnavailable):
            await PostgresSealer(pool, Index("w" * 48)).seal(WANG, spot(1))
