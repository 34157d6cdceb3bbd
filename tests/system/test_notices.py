"""Who is told by mail and SMS, how receivers say what they want, and how people look at it: on real servers."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from cli.client import NotAnswered, ask
from cli.stack.plan import VAULT_INDEX
from cli.stack.ports import free_port
from cli.stack.state import Stack
from libs.events.contracts.dispatch import Assigned, Escalated, EscalationReason
from libs.events.contracts.intake import CaseRejected, CaseReported
from libs.events.envelope import Context, Entry
from libs.events.ids import case_id_of_tracking, new_tracking_number
from libs.events.log import History, facts_of
from libs.events.sealing import Contact, Spot
from libs.events.vault.index import Index
from libs.events.vault.keeping import erase, persons_of
from libs.events.vault.store import PostgresSealer, vault_at
from services.notify.delivery.engine import LANE_AT_ONCE_MAX
from tests.support.mailbox import NOBODY, Mailbox, mail_server
from tests.support.notify import ACK_WAIT_SECONDS, PLACE, SECONDS_MAX, Notify, state, time_flies
from tests.support.receiver import Post, Receiver, receiving, verified, yes
from tests.support.stack import SERVERS_ONLY, eventually, log_of, running, whistle

METEO = "integrator:meteo"
OPERATOR = "operator:city"


WAITING = "SELECT count(*) FROM notify.deliveries WHERE bundle IS NOT NULL AND state = 'due'"


@dataclass(frozen=True)
class Town:
    """All that a notice goes through."""

    stack: Stack
    url: str
    mailbox: Mailbox
    sms_port: int


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with (
        running(SERVERS_ONLY, settings={"WHISTLE_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS)}) as stack,
        mail_server() as mailbox,
    ):
        sms_port = free_port()
        settings = {
            "WHISTLE_MAIL_HOST": "127.0.0.1",
            "WHISTLE_MAIL_PORT": str(mailbox.port),
            "WHISTLE_MAIL_SECURITY": "none",
            "WHISTLE_MAIL_SENDER": "Liuhe <answers@liuhe.example>",
            "WHISTLE_MAIL_OFFICES": "post:street:hebin=desk@hebin.example",
            "WHISTLE_PUBLIC_URL": "https://liuhe.example",
            "WHISTLE_SMS_URL": f"http://127.0.0.1:{sms_port}/send",
            "WHISTLE_SMS_HEADERS": "Authorization: Bearer of the gateway",
        }
        notify = Notify(stack, **settings)
        notify.start()
        try:
            yield Town(stack, asyncio.run(notify.url()), mailbox, sms_port)
        finally:
            notify.kill()


@pytest.fixture
async def gateway(town: Town) -> AsyncIterator[Receiver]:
    """The gateway that takes SMS."""
    receiver = Receiver(port=town.sms_port)
    await receiver.open()
    yield receiver
    await receiver.close()


@dataclass
class Reporter:
    """Somebody who reported something."""

    tracking_number: str
    case_id: str
    entries: list[Entry]


async def report(town: Town, contact: Contact) -> Reporter:
    """A live report of somebody who left a contact."""
    tracking_number = new_tracking_number()
    case_id = case_id_of_tracking(tracking_number)
    async with vault_at(town.stack.postgres_dsn("whistle_vault_sealer")) as pool:
        sealer = PostgresSealer(pool, Index(town.stack.secret(VAULT_INDEX)))
        sealed = await sealer.seal(contact, Spot(case_id))
    event = CaseReported(category="1401", channel="web", description="Burst", place=PLACE, reporter=sealed)
    reporter = Reporter(tracking_number, case_id, [])
    await happen(town, reporter, event, "intake")
    return reporter


async def happen(town: Town, reporter: Reporter, event: Any, user: str) -> None:
    """Something live happens in the reporter's case."""
    async with log_of(town.stack, user) as (log, _):
        history = History(reporter.case_id, tuple(reporter.entries))
        context = Context(actor="test", time=datetime.now(UTC))
        reporter.entries += await log.append(history, facts_of((event,), context))


def rejected(number: str = "") -> CaseRejected:
    return CaseRejected(reason=f"It lies on private ground. {number}")


async def come(found: Any, number: int) -> None:
    """Wait until so many are there."""

    async def are_there() -> bool:
        return len(found()) >= number

    await eventually(are_there, SECONDS_MAX)


def wish(town: Town, key: str, **wishes: Any) -> None:
    request = Request(
        f"{town.url}/wishes/{key}",
        json.dumps(wishes).encode(),
        {"Content-Type": "application/json"},
        method="PUT",
    )
    with urlopen(request) as answer:
        assert json.load(answer)["way"] == wishes.get("way", "auto")


async def test_a_mail_says_it_in_both_languages_and_how_to_stop(town: Town) -> None:
    reporter = await report(town, Contact(name="Wang", phone="13912345678", mail="wang@resident.example"))
    await come(lambda: town.mailbox.of("wang@resident.example"), 1)
    [message] = town.mailbox.of("wang@resident.example")
    text = message.get_content()
    assert "Your report has arrived." in text
    assert "您的诉求已收到。" in text
    assert "Wang" not in text
    assert reporter.case_id not in message["Subject"]
    assert message["From"] == "Liuhe <answers@liuhe.example>"
    assert message["Message-ID"].endswith("@liuhe.example>")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    stop = message["List-Unsubscribe"].strip("<>").replace("https://liuhe.example", town.url)
    one_click = Request(stop, b"List-Unsubscribe=One-Click", method="POST")
    assert (await asyncio.to_thread(urlopen, one_click)).status == 204
    await happen(town, reporter, rejected(), "intake")

    other = await report(town, Contact(mail="li@resident.example"))
    wish(town, other.tracking_number, language="en")
    await happen(town, other, rejected("Call 13812345678."), "intake")
    await come(lambda: town.mailbox.of("li@resident.example"), 2)
    assert len(town.mailbox.of("wang@resident.example")) == 1
    answer = town.mailbox.of("li@resident.example")[1].get_content()
    assert "您" not in answer
    assert "Call ***." in answer


async def test_an_sms_where_there_is_no_mail_and_what_the_gateway_gets(town: Town, gateway: Receiver) -> None:
    await report(town, Contact(phone="13887654321"))
    await come(lambda: gateway.posts, 1)
    [post] = gateway.posts
    body = json.loads(post.body)
    assert body["to"] == "13887654321"
    assert "您的诉求已收到。" in body["text"]
    assert post.headers["authorization"] == "Bearer of the gateway"
    assert post.headers["idempotency-key"] == body["id"]


async def test_gateways_that_die_over_a_message_get_it_again_under_its_id(
    town: Town, gateway: Receiver
) -> None:
    """They took it, and were gone before they said yes."""

    async def says_nothing(_: Post) -> int:
        await asyncio.Event().wait()
        return 204

    gateway.behaviour, town.mailbox.dies = says_nothing, True
    mailed = await report(town, Contact(mail="died@resident.example"))
    phoned = await report(town, Contact(phone="13887654322"))
    await come(lambda: gateway.posts, 1)
    await gateway.close()
    assert await outcome(town, mailed, 1) == ("due", "SMTPServerDisconnected")
    assert (await outcome(town, phoned, 1, "sms"))[0] == "due"

    gateway.behaviour = yes
    await gateway.open()
    async with time_flies(town.stack):
        assert (await outcome(town, mailed, 1, state="sent"))[0] == "sent"
        assert (await outcome(town, phoned, 1, "sms", state="sent"))[0] == "sent"
    mails = [each["Message-ID"] for each in town.mailbox.of("died@resident.example")]
    posts = [post.headers["idempotency-key"] for post in gateway.posts]
    assert [(len(each), len(set(each))) for each in (mails, posts)] == [(2, 1), (2, 1)]


async def test_a_digest_is_one_message(town: Town) -> None:
    clock = (datetime.now(ZoneInfo(PLACE.time_zone)) + timedelta(hours=3)).strftime("%H:%M")  # it waits
    one = await report(town, Contact(mail="digest@resident.example"))
    two = await report(town, Contact(mail="digest@resident.example"))
    await come(lambda: town.mailbox.of("digest@resident.example"), 2)
    for each in (one, two):
        wish(town, each.tracking_number, digest=clock)
        await happen(town, each, rejected(), "intake")
    await happen(town, one, Assigned(department="water"), "dispatch")
    await planned(town, 3)
    async with time_flies(town.stack):
        await come(lambda: town.mailbox.of("digest@resident.example"), 3)
    message = town.mailbox.of("digest@resident.example")[2]
    assert message["Subject"].endswith("(+2)")
    assert message.get_content().count("private ground") == 4  # two cases, two languages


async def test_who_was_forgotten_and_whose_address_is_none_is_not_told_and_that_is_on_record(
    town: Town,
) -> None:
    forgotten = await report(town, Contact(mail="forget@resident.example"))
    await come(lambda: town.mailbox.of("forget@resident.example"), 1)
    async with vault_at(town.stack.postgres_dsn("whistle_vault_keeper")) as keeper:
        index = Index(town.stack.secret(VAULT_INDEX))
        for person in await persons_of(keeper, index, "forget@resident.example"):
            assert await erase(keeper, person)
    await happen(town, forgotten, rejected(), "intake")
    wrong = await report(town, Contact(mail=NOBODY))
    assert await outcome(town, forgotten, 2) == ("dropped", "the reporter was forgotten")
    assert await outcome(town, wrong, 1) == ("dead", "the server takes nothing for this address")
    assert len(town.mailbox.of("forget@resident.example")) == 1


async def test_an_office_gets_mail_where_a_setting_names_its_address(town: Town) -> None:
    reporter = await report(town, Contact(text="behind the house"))
    event = Escalated(reason=EscalationReason.BY_HAND, level="street", acts="street:hebin")
    await happen(town, reporter, event, "dispatch")
    await come(lambda: town.mailbox.of("desk@hebin.example"), 1)
    [message] = town.mailbox.of("desk@hebin.example")
    assert f"Case {reporter.case_id} is yours to decide now" in message.get_content()
    assert message["List-Unsubscribe"] is None


async def test_a_key_that_is_none_finds_no_wishes(town: Town) -> None:
    reporter = await report(town, Contact(mail="keys@resident.example"))
    for key in (new_tracking_number(), reporter.case_id, reporter.case_id + "0" * 26, "é" * 30, "x"):
        with pytest.raises(NotAnswered) as refused:
            ask(town.url, f"/wishes/{quote(key)}")
        assert refused.value.code == "unknown_tracking_number"
    assert ask(town.url, f"/wishes/{reporter.tracking_number}")["way"] == "auto"


async def test_an_integrator_helps_itself(town: Town) -> None:
    """Subscribe, test, look, rotate, pause, resume, replay by id and by time, delete."""
    async with receiving() as receiver:
        began = datetime.now(UTC)
        body = {"url": receiver.url, "types": ["whistle.case.filed.v1"], "areas": ["hebin"]}
        made = await asked(town, "/webhooks", body)
        path = f"/webhooks/{made['id']}"
        assert "secret" not in await asked(town, path)
        tested = await asked(town, f"{path}/test", {})
        assert (tested["delivered"], tested["status"], tested["webhook_id"]) == (True, 204, receiver.ids[0])
        assert verified(receiver.posts[0], made["secret"])["type"] == "whistle.webhook.test.v1"

        rotated = await asked(town, f"{path}/rotate", {"overlap_hours": 1})
        await state(town.stack, ["helps itself"])
        await come(lambda: receiver.posts, 2)
        for secret in (made["secret"], rotated["secret"]):
            assert verified(receiver.posts[1], secret)["type"] == "whistle.case.filed.v1"
        delivery = await one_delivery(town, path, "sent")
        assert (delivery["id"], delivery["attempts"]) == (receiver.ids[1], 1)
        [tried] = (await asked(town, f"{path}/deliveries/{delivery['id']}"))["tried"]
        assert (tried["attempt"], tried["state"], tried["status"]) == (1, "sent", 204)

        await asked(town, f"{path}/pause", {})
        await again(town, f"{path}/deliveries/{delivery['id']}/replay")
        assert (await one_delivery(town, path, "due"))["attempts"] == 1
        await asked(town, f"{path}/resume", {})
        await come(lambda: receiver.posts, 3)
        await one_delivery(town, path, "sent")
        replay = await asked(town, f"{path}/replay", {"since": began.isoformat()})
        await come(lambda: receiver.posts, 4)
        assert set(receiver.ids[1:]) == {delivery["id"]}
        [shown] = await asked(town, f"{path}/replays")
        assert (shown["id"], shown["planned"]) == (replay["id"], 1)
        await one_delivery(town, path, "sent")

        for as_ in ("integrator:other", "auditor:city", None):
            with pytest.raises(NotAnswered):
                await asyncio.to_thread(ask, town.url, path, as_=as_, home=town.stack.home)
        await gone(town, path)
        assert await asked(town, "/webhooks") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "gopher://example.org"}, "url"),
        ({"url": "https://example.org", "types": ["whistle.case.made-up.v1"]}, "types.0"),
        ({"url": "https://example.org", "secret": "mine"}, "secret"),
        ({"url": "https://example.org", "areas": [""]}, "areas.0"),
    ],
)
async def test_a_subscription_that_cannot_be_is_refused_with_its_field(
    town: Town, body: dict[str, Any], field: str
) -> None:
    with pytest.raises(NotAnswered, match=re.escape(f"{field}: ")):
        await asked(town, "/webhooks", body)


async def test_a_receiver_that_never_answers_holds_up_nobody(town: Town) -> None:
    async def never(_: Post) -> int:
        await asyncio.Event().wait()
        return 204

    async with receiving(never) as slow, receiving() as quick:
        for receiver in (slow, quick):
            await asked(town, "/webhooks", {"url": receiver.url, "types": ["whistle.case.filed.v1"]})
        await state(town.stack, [f"slow {number}" for number in range(30)])
        await come(lambda: quick.posts, 30)
        await come(lambda: slow.posts, 1)
        # All of them came while the first ones to the other were still under way, as many as a lane may have; on a slow
        # machine they may have come again by now.
        assert len(set(slow.ids)) <= LANE_AT_ONCE_MAX
    for each in await asked(town, "/webhooks"):
        await gone(town, f"/webhooks/{each['id']}")


async def test_the_operator_sees_a_cases_notices(town: Town) -> None:
    reporter = await report(town, Contact(mail="seen@resident.example"))
    await outcome(town, reporter, 1)
    shown = await asyncio.to_thread(whistle, town.stack, "notices", reporter.case_id, "--json")
    assert shown.returncode == 0, shown.stderr
    told = {each["channel"]: each for each in json.loads(shown.stdout)}
    assert told["screen"]["recipient"] == "reporter"
    assert [each["state"] for each in told["mail"]["attempts"]] == ["sent"]
    assert "seen@" not in shown.stdout
    table = await asyncio.to_thread(whistle, town.stack, "notices", reporter.case_id)
    assert "mail" in table.stdout


async def outcome(
    town: Town, reporter: Reporter, version: int, channel: str = "mail", *, state: str = ""
) -> tuple[str, str]:
    """What became of the message about a fact, as soon as that is on record, or *state* is."""
    found: list[dict[str, Any]] = []
    async with log_of(town.stack, "auditor") as (_, jetstream):

        async def is_on_record() -> bool:
            subject = f"notice.{reporter.case_id}.{channel}.{version}.reporter"
            record = await jetstream.last_on_leader("NOTICES", subject)
            found[:] = [json.loads(record.payload)["data"]] if record else []
            return bool(found) and state in ("", found[0]["state"])

        await eventually(is_on_record, SECONDS_MAX)
    return found[0]["state"], found[0]["reason"]


async def planned(town: Town, number: int) -> None:
    """Wait until so much waits for its time."""
    connection = await asyncpg.connect(town.stack.postgres_dsn("whistle_notify"))

    async def are_planned() -> bool:
        return bool(await connection.fetchval(WAITING) == number)

    try:
        await eventually(are_planned, SECONDS_MAX)
    finally:
        await connection.close()


async def asked(town: Town, path: str, body: dict[str, Any] | None = None) -> Any:
    return await asyncio.to_thread(ask, town.url, path, body=body, as_=METEO, home=town.stack.home)


async def again(town: Town, path: str) -> None:
    token = town.stack.token(METEO)
    request = Request(f"{town.url}{path}", b"", {"Authorization": f"Bearer {token}"}, method="POST")
    await asyncio.to_thread(urlopen, request)


async def gone(town: Town, path: str) -> None:
    token = town.stack.token(METEO)
    request = Request(f"{town.url}{path}", None, {"Authorization": f"Bearer {token}"}, method="DELETE")
    await asyncio.to_thread(urlopen, request)


async def one_delivery(town: Town, path: str, wanted: str) -> dict[str, Any]:
    """The only delivery, as soon as it stands so."""
    found: list[dict[str, Any]] = []

    async def stands_so() -> bool:
        found[:] = await asked(town, f"{path}/deliveries")
        return [each["state"] for each in found] == [wanted]

    await eventually(stands_so, SECONDS_MAX)
    return found[0]
