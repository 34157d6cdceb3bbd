"""What somebody says of themselves is readable for those who answer, and stands in clear nowhere else."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest_asyncio

from cli.embedded.postgres import SUPERUSER
from cli.stack.plan import VAULT_INDEX
from cli.stack.state import Stack, dsn_for
from cli.tokens import Tokens
from libs.events.contracts.intake import CaseReported
from libs.events.sealing import person_of
from libs.events.vault.index import Index
from libs.events.vault.keeping import counts, erase, persons_of
from libs.events.vault.store import vault_at
from tests.support.cases import caught_up
from tests.support.people import People, Receipt, done
from tests.support.stack import whistle

CATEGORY: Final = "0101"
DEPARTMENT: Final = "water"
CONTACT: Final = {
    "name": "欧阳测试",
    "phone": "138 7531 9024",
    "mail": "ouyang.test@mail.example",
    "text": "晚上七点后再打，狗叫豆豆",
}
TYPED: Final = "13975310246"
COMMENT: Final = "0512-87531902"
PUBLIC: Final = "井盖开裂两处"
FORMS: Final = (*CONTACT.values(), "13875319024", TYPED, COMMENT, "欧阳", "豆豆")
TABLES: Final = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""


@pytest_asyncio.fixture
async def people(stack: Stack) -> AsyncGenerator[People]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield People(stack, http)


async def whole_life(people: People) -> Receipt:
    """Everybody says what they should and what they should not."""
    description = f"{PUBLIC}，电话{TYPED}"
    receipt = await people.assigned(CATEGORY, description, contact=CONTACT)
    case_id = receipt.case_id
    done(await people.department(DEPARTMENT, case_id, "accept"))
    done(await people.department(DEPARTMENT, case_id, "progress", note=f"约好 {COMMENT}"))
    await people.handled(DEPARTMENT, case_id)
    done(await people.judge(case_id, "verify", note=f"电话回访 {TYPED}"))
    await people.until(case_id, "closed")
    done(await people.rate(receipt.tracking_number, text=f"谢谢，有事打{COMMENT}"))
    await caught_up(people.stack, "intake", "dispatch", "evaluation", "notify")
    return receipt


def found_in_files(folder: Path, texts: Iterator[str] | tuple[str, ...]) -> set[str]:
    """Which of the texts stand in a file below, as UTF-8 or as JSON writes them in ASCII."""
    wanted = {text: (text.encode(), json.dumps(text)[1:-1].encode()) for text in texts}
    contents = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    return {
        text for text, forms in wanted.items() if any(form in each for form in forms for each in contents)
    }


async def found_in_tables(stack: Stack, texts: tuple[str, ...]) -> set[str]:
    """Which of the texts stand in a table of the database, whoever's it is."""
    connection = await asyncpg.connect(dsn_for(stack.postgres_admin_dsn, SUPERUSER, stack.secret(SUPERUSER)))
    found: set[str] = set()
    try:
        for table in [record[0] for record in await connection.fetch(TABLES)]:
            rows = await connection.fetch(f"SELECT t::text AS said FROM {table} AS t")
            found |= {text for text in texts for row in rows if text in row["said"]}
    finally:
        await connection.close()
    return found


async def test_a_whole_life_leaves_a_contact_in_clear_nowhere(people: People) -> None:
    stack = people.stack
    receipt = await whole_life(people)
    history = await people.history(receipt.case_id)
    (reported,) = [event for event in history.events if isinstance(event, CaseReported)]
    assert reported.description == f"{PUBLIC}，电话***"
    assert reported.reporter is not None
    person = person_of(reported.reporter)
    seen = (PUBLIC, person)
    assert found_in_files(stack.home / "nats", (*seen, *FORMS)) == {*seen}, "in the log's files"
    assert await found_in_tables(stack, (*seen, *FORMS)) == {*seen}
    # What services say of their work; and of what they were told, nothing.
    assert found_in_files(stack.home / "log", (receipt.case_id, PUBLIC, *FORMS)) == {receipt.case_id}


async def looked(people: People, case_id: str, post: str | None) -> httpx.Response:
    """What *post* is answered who asks for the contact."""
    shown = Tokens(people.stack).shown(post) if post else {"authorization": ""}
    url = people.stack.service_url("notify")
    return await people.http.get(f"{url}/cases/{case_id}/contact", headers=shown)


async def test_a_contact_opens_for_those_of_the_place_and_is_written_down(people: People) -> None:
    receipt = await people.assigned(CATEGORY, f"{PUBLIC}，电话{TYPED}", contact=CONTACT)
    case_id = receipt.case_id
    answer = await looked(people, case_id, "specialist:qiaotou")
    assert done(answer) == {"case_id": case_id, "typed": f"{PUBLIC}，电话{TYPED}", **CONTACT}
    assert answer.headers["cache-control"] == "no-store"
    elsewhere = ("specialist:liuyuan", "specialist:nowhere", f"department:{DEPARTMENT}", "auditor:city")
    for post in elsewhere:
        assert (await looked(people, case_id, post)).status_code == 403, post
    assert (await looked(people, case_id, None)).status_code == 401
    anonymous = await people.report(CATEGORY, "无名", place={"community": "qiaotou"})
    assert (await looked(people, anonymous.case_id, "specialist:qiaotou")).json()["code"] == "no_contact"
    assert (await looked(people, "0" * 20, "specialist:qiaotou")).status_code == 404
    lines = [json.loads(line) for line in (people.stack.home / "log/notify.log").read_text().splitlines()]
    opened = [line for line in lines if line["event"] == "contact_opened" and line["case_id"] == case_id]
    assert [line["by"] for line in opened] == ["specialist:qiaotou"]
    assert opened[0]["principal"]


async def test_the_same_again_adds_no_case_no_person_and_no_value(people: People) -> None:
    stack, url = people.stack, people.stack.service_url("intake")
    said: dict[str, Any] = {
        "category": CATEGORY,
        "description": "重复上报",
        "place": {"community": "qiaotou"},
    }
    contact = {"phone": "13675310001", "name": "甲"}

    async def report(key: str, contact: dict[str, str]) -> httpx.Response:
        return await people.http.post(
            f"{url}/cases", json={**said, "contact": contact}, headers={"Idempotency-Key": key}
        )

    async with vault_at(stack.postgres_dsn("whistle_vault_keeper")) as keeper:
        index = Index(stack.secret(VAULT_INDEX))
        before = (await counts(keeper))[0]
        answers = await asyncio.gather(*(report("key-number-1", contact) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
        assert len({answer.json()["case_id"] for answer in answers}) == 1
        assert (await report("key-number-1", {**contact, "phone": "+86 136-7531-0001"})).status_code == 200
        refused = await report("key-number-1", {"phone": "13675310002"})
        assert (refused.status_code, refused.json()["code"]) == (409, "reported_differently")
        after = (await counts(keeper))[0]
        assert after["persons"] == before["persons"] + 1
        assert after["values_sealed"] == before["values_sealed"] + 1
        assert await persons_of(keeper, index, "13675310002") == [], "who was refused is not kept"
        case_id = answers[0].json()["case_id"]
        assert done(await looked(people, case_id, "specialist:qiaotou"))["phone"] == contact["phone"]
        (person,) = await persons_of(keeper, index, contact["phone"])
        assert await erase(keeper, person)
        assert (await looked(people, case_id, "specialist:qiaotou")).json()["code"] == "contact_erased"


async def test_what_open311_says_of_people_is_sealed_too(people: People) -> None:
    form = {"service_code": CATEGORY, "address_id": "qiaotou", "first_name": "测", "phone": "13675310005"}
    answer = await people.http.post(
        f"{people.stack.service_url('intake')}/open311/v2/requests.json",
        data={**form, "description": "请打 13675310005"},
        headers=Tokens(people.stack).shown("integrator:app"),
    )
    assert answer.status_code == 201, answer.text
    case_id = answer.json()[0]["service_request_id"]
    shown = done(await looked(people, case_id, "specialist:qiaotou"))
    assert (shown["name"], shown["phone"], shown["typed"]) == ("测", "13675310005", "请打 13675310005")
    assert "13675310005" not in str((await people.history(case_id)).events)


async def test_the_vault_is_turned_from_the_shell_while_services_go_on(people: People) -> None:
    receipt = await people.report(CATEGORY, "换钥", contact={"phone": "13675310003"})
    before = said_by(people.stack, "status")
    ((key, state),) = [(each["master_key"], each["state"]) for each in before["master_keys"]]
    assert state.startswith("in force")
    assert before["people"] >= 1
    assert said_by(people.stack, "rotate", "--begin")["master_key"] != key
    turned = said_by(people.stack, "rotate")
    assert turned["people"] == before["people"]
    assert turned["master_key"] != key
    after = said_by(people.stack, "status")
    assert [(each["master_key"], each["people"]) for each in after["master_keys"]] == [
        (turned["master_key"], before["people"])
    ]
    assert done(await looked(people, receipt.case_id, "specialist:qiaotou"))["phone"] == "13675310003"
    later = await people.report(CATEGORY, "换钥后", contact={"phone": "13675310004"})
    assert done(await looked(people, later.case_id, "specialist:qiaotou"))["phone"] == "13675310004"


def said_by(stack: Stack, *arguments: str) -> dict[str, Any]:
    """What `./whistle vault ...` tells a program."""
    ran = whistle(stack, "vault", *arguments, "--json")
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


async def test_a_vault_that_cannot_be_kept_says_why_in_both_languages(people: People, tmp_path: Path) -> None:
    stack, file = people.stack, tmp_path / "other"
    file.write_text("w" * 48)
    keeper = stack.postgres_dsn("whistle_vault_keeper")
    nobody = "postgresql://nobody:none@127.0.0.1:1/whistle"
    for dsn, path, told, told_zh in (
        (nobody, file, "cannot be reached", "无法连接数据库"),
        (keeper, file, "is not in", "主密钥文件与此库不符"),
        (keeper, tmp_path / "none", "cannot be read", "主密钥文件与此库不符"),
    ):
        settings = {"WHISTLE_VAULT_DSN": dsn, "WHISTLE_VAULT_MASTER_FILE": str(path)}
        ran = whistle(stack, "vault", "rotate", **settings)
        assert ran.returncode == 1
        assert told in ran.stderr
        assert told_zh in ran.stderr


async def test_a_contact_that_cannot_be_one_is_refused_with_its_field(people: People) -> None:
    for contact, field in (
        ({}, "contact"),
        ({"name": ""}, "contact"),
        ({"phone": "call me"}, "contact.phone"),
        ({"phone": "13800138000\n13900139000"}, "contact.phone"),
        ({"phone": "1380"}, "contact.phone"),
        ({"mail": "nobody"}, "contact.mail"),
        ({"mail": "a@example.com,b@example.com"}, "contact.mail"),
        ({"mail": "a@example.com\nBcc: b@example.com"}, "contact.mail"),
        ({"mail": "<a@example.com>"}, "contact.mail"),
        ({"name": "x" * 101}, "contact.name"),
        ({"wechat": "x"}, "contact.wechat"),
    ):
        said = {
            "category": CATEGORY,
            "description": "x",
            "contact": contact,
            "place": {"community": "qiaotou"},
        }
        answer = await people.post("intake", "/cases", said)
        assert answer.status_code == 422, contact
        assert [each["field"] for each in answer.json()["errors"]] == [field]
        assert all(each["reason_zh"] for each in answer.json()["errors"])
    nul = {
        "category": CATEGORY,
        "description": "x",
        "contact": {"name": "a\0b"},
        "place": {"grid": "qiaotou-01"},
    }
    assert (await people.post("intake", "/cases", nul)).status_code == 422
