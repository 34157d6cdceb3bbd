"""People's data on a whole stack: found, handed out, erased for good, and still erased when an old vault comes back."""

import json
import signal
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest
import pytest_asyncio

from cli.embedded.errors import StackError
from cli.embedded.postgres import SUPERUSER
from cli.output import UsageError
from cli.persons.desk import at_desk
from cli.persons.who import everybody, the_one
from cli.stack.plan import VAULT_INDEX
from cli.stack.rulebook import example_in
from cli.stack.state import Stack, dsn_for
from cli.tokens import Tokens
from libs.events.contracts.intake import CaseReported
from libs.events.personal.records import PersonRecords
from libs.events.sealing import person_of
from libs.events.vault.index import Index
from tests.support.cases import caught_up
from tests.support.people import People, Receipt, done
from tests.support.searching import forms, found_below, found_in_rows
from tests.support.stack import eventually, log_of, whistle

CATEGORY: Final = "0101"
DEPARTMENT: Final = "water"
LI: Final = {
    "name": "司徒测试",
    "phone": "139 6420 7718",
    "mail": "situ.ceshi@mail.example",
    "text": "请敲后门，找司徒",
}
LI_TYPED: Final = "13764207781"
LI_FORMS: Final = (*LI.values(), "13964207718", LI_TYPED)
OTHER: Final = {"name": "上官旁人", "phone": "13864207719", "mail": "shangguan@mail.example"}
PUBLIC: Final = "井盖缺失旁有积水"


@pytest_asyncio.fixture
async def people(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[People]:
    monkeypatch.setenv("WHISTLE_HOME", str(stack.home))
    async with httpx.AsyncClient(timeout=30) as http:
        yield People(stack, http)


async def settled(people: People, **contact: str) -> Receipt:
    """A case with a contact, from its report to its good end."""
    described = f"{PUBLIC}，电话{LI_TYPED}" if contact.get("name") == LI["name"] else PUBLIC
    receipt = await people.settled(CATEGORY, DEPARTMENT, described, contact=contact)
    await people.until(receipt.case_id, "closed")
    return receipt


def told(stack: Stack, *arguments: str, **settings: str) -> Any:
    """What a command says to a program."""
    run = whistle(stack, *arguments, "--json", **settings)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def refused(stack: Stack, *arguments: str, **settings: str) -> str:
    """Why a command does nothing."""
    run = whistle(stack, *arguments, **settings)
    assert run.returncode in {1, 2}, run.stdout
    assert "Traceback" not in run.stderr
    return " ".join(run.stderr.replace("│", " ").split())


async def contact(people: People, case_id: str) -> httpx.Response:
    """What the specialist of the place is answered who asks how to reach the reporter."""
    shown = Tokens(people.stack).shown("specialist:qiaotou")
    url = people.stack.service_url("notify")
    return await people.http.get(f"{url}/cases/{case_id}/contact", headers=shown)


async def person_in(people: People, case_id: str) -> str:
    """The pseudonym of who reported a case."""
    first = (await people.history(case_id)).events[0]
    assert isinstance(first, CaseReported)
    assert first.reporter is not None
    return person_of(first.reporter)


async def facts_about(stack: Stack, person: str) -> list[str]:
    """What stands on record about a person, in order."""
    async with log_of(stack, "persons") as (_, jetstream):
        return [entry.name async for entry in PersonRecords(jetstream).about(f"person.{person}.>")]


async def digest_of_cases(stack: Stack) -> str:
    """Over every message of the log as it is stored: place, headers, payload and the server's time."""
    digest = sha256()
    async with log_of(stack, "breakglass") as (_, jetstream):
        last = (await jetstream.api("STREAM.INFO.CASES"))["state"]["last_seq"]
        for sequence in range(1, last + 1):
            message = (await jetstream.api("STREAM.MSG.GET.CASES", {"seq": sequence}))["message"]
            digest.update(json.dumps(message, sort_keys=True).encode())
    return digest.hexdigest()


async def test_somebody_is_found_and_handed_what_is_theirs_and_nothing_of_others(
    people: People, tmp_path: Path
) -> None:
    stack = people.stack
    mine, more = await settled(people, **LI), await people.report(CATEGORY, PUBLIC, contact=LI)
    other = await people.report(CATEGORY, PUBLIC, contact=OTHER)
    done(await people.rate(mine.tracking_number, stars=4, text="谢谢师傅"))
    person = await person_in(people, mine.case_id)
    async with at_desk() as desk:
        for who in ("13964207718", LI["mail"], LI_TYPED, mine.tracking_number, mine.case_id, person):
            assert await the_one(desk, who) == person, who
    [found] = told(stack, "person", "find", "+86 139-6420-7718")
    cases = [mine.case_id, more.case_id]
    assert found == {"person": person, "cases": cases, "erased_at": None, "held": []}, "and nothing more"
    copy = told(stack, "person", "export", LI["phone"])
    first, second = copy["cases"]
    assert first["contact"] == {**LI, "typed": f"{PUBLIC}，电话{LI_TYPED}"}
    assert second["contact"] == LI
    assert first["said"]["description"] == f"{PUBLIC}，电话***"
    assert first["standing"]["state"] == "closed"
    assert [(each["stars"], each["text"]) for each in first["ratings"]] == [(4, "谢谢师傅")]
    assert {"assigned", "closed"} <= {each["occasion"] for each in first["notices"] if "occasion" in each}
    said = json.dumps(copy, ensure_ascii=False)
    for foreign in (*OTHER.values(), other.case_id, "specialist:qiaotou"):
        assert foreign not in said, foreign
    file = tmp_path / "copy.json"
    assert whistle(stack, "person", "export", person, "--out", str(file)).returncode == 0
    assert json.loads(file.read_text())["cases"][0]["contact"]["name"] == LI["name"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert "already" in refused(stack, "person", "export", person, "--out", str(file))
    shown = whistle(stack, "person", "export", person).stdout
    assert LI["name"] in shown
    assert await facts_about(stack, person) == ["exported"] * 3, "each copy is on record"


async def test_an_erased_person_is_nowhere_and_the_log_is_as_it_was(people: People) -> None:
    stack, who = people.stack, {**LI, "phone": "13964200001", "mail": "gone@mail.example"}
    words = (who["phone"], who["mail"], who["name"], who["text"], LI_TYPED)
    receipt = await settled(people, **who)
    done(await people.rate(receipt.tracking_number, stars=5, text=f"电话{LI_TYPED}"))
    person = await person_in(people, receipt.case_id)
    async with asyncpg_at(stack) as connection:
        wrapped = await connection.fetchval("SELECT wrapped_key FROM vault.persons WHERE person = $1", person)
    assert done(await contact(people, receipt.case_id))["name"] == who["name"]
    copy = told(stack, "person", "export", who["mail"])
    assert copy["cases"][0]["contact"]["phone"] == who["phone"]
    await caught_up(stack, "intake", "dispatch", "evaluation", "notify")
    before = await digest_of_cases(stack)

    erased = told(stack, "person", "erase", who["mail"], "--reference", "A-7", "--yes")
    assert (erased["person"], erased["ground"], erased["again"]) == (person, "request", False)
    assert erased["values"] == 1
    assert await digest_of_cases(stack) == before, "no event changes"
    assert await facts_about(stack, person) == ["exported", "erasure-ordered", "erased"]
    again = told(stack, "person", "erase", receipt.case_id, "--yes")
    assert again == {**erased, "again": True}, "a second time says when it was"
    answer = await contact(people, receipt.case_id)
    assert (answer.status_code, answer.json()["code"]) == (410, "contact_erased")
    assert (await people.standing(receipt.tracking_number))["state"] == "closed", "the case is still there"
    async with at_desk() as desk:
        for known in (who["mail"], who["phone"]):
            with pytest.raises(StackError, match="nobody is known"):
                await everybody(desk, known)
        assert person not in await everybody(desk, LI_TYPED), "others wrote that number, too"
    assert "erased on" in refused(stack, "person", "export", receipt.case_id)

    # In every file of the data folder, PostgreSQL's own and every service's log among them, and in every table.
    assert found_below(stack.home / "nats", [person, PUBLIC]).keys() == {person, PUBLIC}, (
        "it finds what is there"
    )
    assert found_below(stack.home, words) == {}
    assert await found_in_rows(stack, [*words, wrapped]) == {}
    async with asyncpg_at(stack) as connection:
        left = await connection.fetchrow("SELECT * FROM vault.persons WHERE person = $1", person)
        digests = [Index(stack.secret(VAULT_INDEX)).of(each) for each in (who["phone"], who["mail"])]
        assert (
            await connection.fetchval("SELECT count(*) FROM vault.addresses WHERE digest = ANY($1)", digests)
            == 0
        )
    assert left is not None
    assert {name for name, value in left.items() if value is None} == {
        *("contact_digest", "public_key", "wrapped_key", "master_key_id")
    }


def test_the_search_finds_a_word_in_every_form(tmp_path: Path) -> None:
    for text in (LI["name"], LI["mail"], "13964207718"):
        for number, written in enumerate(sorted(forms(text))):
            (tmp_path / str(number)).write_bytes(b"x" * 7 + written + b"y" * 7)
            assert found_below(tmp_path, [text]) == {text: {str(number)}}
            (tmp_path / str(number)).unlink()
        for before in range(4):
            (tmp_path / "coded").write_bytes(b64encode(b"a" * before + f"{text}, and more".encode()))
            assert found_below(tmp_path, [text]), "whatever stands before it"


@pytest.mark.parametrize(
    "point",
    [
        "person.ordered",
        pytest.param("vault.erased", marks=pytest.mark.full),
        pytest.param("person.erased", marks=pytest.mark.full),
    ],
)
async def test_an_erasure_that_died_on_its_way_is_carried_out_once(people: People, point: str) -> None:
    stack, phone = (
        people.stack,
        f"1396421{['person.ordered', 'vault.erased', 'person.erased'].index(point):04}",
    )
    receipt = await people.report(CATEGORY, PUBLIC, contact={"phone": phone})
    person = await person_in(people, receipt.case_id)
    run = whistle(stack, "person", "erase", phone, "--yes", "--even-open", WHISTLE_FAULTS=f"{point}=1")
    assert run.returncode == -signal.SIGKILL
    answer = await contact(people, receipt.case_id)
    assert answer.status_code == 410, "what was ordered holds at once"
    done_before = point == "person.erased"
    assert await facts_about(stack, person) == ["erasure-ordered", *(["erased"] if done_before else [])]
    assert told(stack, "person", "replay-erasures")["erased"] == [person]
    assert told(stack, "person", "replay-erasures")["erased"] == []
    assert await facts_about(stack, person) == ["erasure-ordered", "erased"]
    assert told(stack, "person", "erase", receipt.case_id, "--yes")["values"] == 1


async def test_an_old_vault_that_comes_back_brings_nobody_back(people: People, tmp_path: Path) -> None:
    stack, phone, stays = people.stack, "13964220001", "13964220002"
    gone = await people.report(CATEGORY, PUBLIC, contact={"phone": phone})
    kept = await people.report(CATEGORY, PUBLIC, contact={"phone": stays})
    person, file = await person_in(people, gone.case_id), tmp_path / "vault.jsonl"
    assert told(stack, "vault", "backup", str(file))["people"] > 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert not found_below(tmp_path, [phone, stays])
    old = await rows_of(stack, person)
    told(stack, "person", "erase", phone, "--yes", "--even-open")

    # Rows that somebody copied back by hand: nothing opens, and the next start destroys them again.
    await put_back(stack, old)
    assert (await contact(people, gone.case_id)).status_code == 410
    start_again(stack)
    assert await key_of(stack, person) is None
    assert (await contact(people, gone.case_id)).status_code == 410
    assert done(await contact(people, kept.case_id))["phone"] == stays

    # The product's own way.
    assert "--replace" in refused(stack, "vault", "restore", str(file))
    cut = tmp_path / "cut"
    cut.write_bytes(file.read_bytes()[:-40])
    assert "cut short" in refused(stack, "vault", "restore", str(cut), "--replace")
    other_key = tmp_path / "master"
    other_key.write_text("w" * 48)
    settings = {
        "WHISTLE_VAULT_DSN": stack.postgres_dsn("whistle_vault_keeper"),
        "WHISTLE_VAULT_MASTER_FILE": str(other_key),
    }
    assert "master key" in refused(stack, "vault", "restore", str(file), "--replace", **settings)
    restored = told(stack, "vault", "restore", str(file), "--replace")
    assert restored["erased"] >= 1
    assert await key_of(stack, person) is None
    assert "nobody" in refused(stack, "person", "find", phone)
    assert done(await contact(people, kept.case_id))["phone"] == stays
    assert await facts_about(stack, person) == ["erasure-ordered", "erased"], "one receipt, as before"
    again = await people.report(CATEGORY, PUBLIC, contact={"phone": phone})
    assert await person_in(people, again.case_id) != person, "who comes again is somebody new"
    assert "not in" in refused(stack, "vault", "backup", str(stack.home / "beside"))
    assert "already" in refused(stack, "vault", "backup", str(file))


async def test_what_cannot_be_done_is_said(people: People) -> None:
    stack = people.stack
    phone = "13964230001"
    first = await people.report(CATEGORY, PUBLIC, contact={"phone": phone, "mail": "a@mail.example"})
    await people.report(CATEGORY, PUBLIC, contact={"phone": phone, "mail": "b@mail.example"})
    anonymous = await people.report(CATEGORY, PUBLIC)
    async with at_desk() as desk:
        for who in ("13000000000", f"p{'0' * 20}", anonymous.case_id):
            with pytest.raises(StackError, match="nobody is known"):
                await the_one(desk, who)
        for who, reason in (("0" * 20, "no case"), ("王小明", "write a telephone")):
            with pytest.raises(UsageError, match=reason):
                await the_one(desk, who)
        with pytest.raises(StackError, match="2 people") as both:
            await the_one(desk, phone)
        assert await person_in(people, first.case_id) in str(both.value)
    assert "write a telephone" in refused(stack, "person", "find", "王小明")
    assert "--even-open" in refused(stack, "person", "erase", "a@mail.example", "--yes")
    assert "--yes" in refused(stack, "person", "erase", "a@mail.example", "--even-open")
    away = {
        "WHISTLE_VAULT_DSN": "postgresql://nobody:none@127.0.0.1:1/whistle",
        "WHISTLE_VAULT_MASTER_FILE": str(stack.secrets_folder / "vault-master"),
    }
    assert "cannot be reached" in refused(stack, "person", "find", phone, **away)
    assert done(await contact(people, first.case_id))["mail"] == "a@mail.example", "nothing was done"


async def test_time_and_holds_decide_who_is_kept(people: People, tmp_path: Path) -> None:
    stack = people.stack
    short = {"contact": "0.01 natural days"}  # in an exercise, less than a second
    folder = example_in(tmp_path / "book", time_lapse=1440, retention=lambda _: short)
    assert whistle(stack, "policy", "publish", str(folder)).returncode == 0
    over, held, again = [await settled(people, phone=f"1396424000{number}") for number in range(3)]
    waits = await people.report(CATEGORY, PUBLIC, contact={"phone": "13964240003"})
    await people.report(CATEGORY, PUBLIC, contact={"phone": "13964240002"})
    gone, kept, back, new = [await person_in(people, each.case_id) for each in (over, held, again, waits)]
    hold = told(stack, "hold", "add", held.tracking_number, "--reason", "court 17/2026, tel 13964240009")
    assert (hold["target"], hold["number"], hold["reason"]) == (held.case_id, 1, "court 17/2026, tel ***")
    assert hold == told(stack, "hold", "add", held.case_id, "--reason", "court 17/2026, tel 13964240009")
    assert "court 17/2026" in refused(stack, "person", "erase", kept, "--yes"), "the refusal names the hold"

    async def is_over() -> bool:
        found = {each["person"]: each for each in told(stack, "retention", "due")}
        return gone in found and kept in found and not {back, new} & found.keys()

    await eventually(is_over)
    assert gone in told(stack, "retention", "run", "--dry-run")["erased"]
    assert await facts_about(stack, gone) == []
    done_now = told(stack, "retention", "run")
    assert gone in done_now["erased"]
    assert not {kept, back, new} & {*done_now["erased"]}
    assert done_now["held"] == 1
    async with log_of(stack, "persons") as (_, jetstream):
        facts = [entry async for entry in PersonRecords(jetstream).about(f"person.{gone}.>")]
    assert [entry.name for entry in facts] == ["erasure-ordered", "erased"]
    assert facts[0].envelope.policyversion == done_now["policy"]
    assert (await contact(people, over.case_id)).status_code == 410
    assert done(await contact(people, held.case_id))["phone"] == "13964240001"
    assert [each["target"] for each in told(stack, "hold", "list")] == [held.case_id]
    assert told(stack, "hold", "lift", held.case_id, "--reason", "over")["number"] == 1
    assert "no such hold" in refused(stack, "hold", "lift", held.case_id, "--reason", "over")
    assert told(stack, "retention", "run")["erased"] == [kept]
    assert "erased" in refused(stack, "hold", "add", kept, "--reason", "too late")


@asynccontextmanager
async def asyncpg_at(stack: Stack) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of the superuser."""
    connection = await asyncpg.connect(dsn_for(stack.postgres_admin_dsn, SUPERUSER, stack.secret(SUPERUSER)))
    try:
        yield connection
    finally:
        await connection.close()


async def key_of(stack: Stack, person: str) -> str | None:
    """The wrapped key of a person, if the vault has it."""
    async with asyncpg_at(stack) as connection:
        found: str | None = await connection.fetchval(
            "SELECT wrapped_key FROM vault.persons WHERE person = $1", person
        )
        return found


async def rows_of(stack: Stack, person: str) -> dict[str, Any]:
    """What the vault has of a person, and how far it has carried out erasures, as a dump would have it."""
    async with asyncpg_at(stack) as connection:
        return {
            "person": await connection.fetchrow("SELECT * FROM vault.persons WHERE person = $1", person),
            "addresses": await connection.fetch("SELECT * FROM vault.addresses WHERE person = $1", person),
            "carried_out": await connection.fetchrow("SELECT * FROM vault.carried_out"),
        }


async def put_back(stack: Stack, old: dict[str, Any]) -> None:
    """The same, restored over what is there."""
    person = dict(old["person"])
    async with asyncpg_at(stack) as connection, connection.transaction():
        await connection.execute("DELETE FROM vault.persons WHERE person = $1", person["person"])
        for table, rows in (("persons", [person]), ("addresses", old["addresses"])):
            await connection.copy_records_to_table(
                table,
                schema_name="vault",
                columns=[*rows[0].keys()],
                records=[tuple(row.values()) for row in rows],
            )
        await connection.execute("DELETE FROM vault.carried_out")
        if old["carried_out"]:
            await connection.copy_records_to_table(
                "carried_out", schema_name="vault", records=[tuple(old["carried_out"].values())]
            )


def start_again(stack: Stack) -> None:
    """What every start and every deployment does before its services."""
    settings = {
        "WHISTLE_NATS_URL": stack.nats_url,
        "WHISTLE_SECRETS_DIR": str(stack.secrets_folder),
        "WHISTLE_POSTGRES_DSN": dsn_for(
            stack.postgres_admin_dsn, SUPERUSER, stack.secret(SUPERUSER), database="postgres"
        ),
    }
    run = whistle(stack, "provision", **settings)
    assert run.returncode == 0, run.stderr
