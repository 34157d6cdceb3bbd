"""Whole lives of cases through the doors that people have, and what comes of acts in the same moment.

In this city a matter has hours to spare, but for gratings and lamps (`urgent-12h`), whose time is over in seconds;
limits are natural days and urgent hours only, so that no weekend or holiday makes a difference.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import httpx
import pytest
import pytest_asyncio

from cli.client import ask
from cli.departments.serving import enable
from cli.stack.rulebook import example_in, example_policy
from cli.stack.state import Stack
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Assigned,
    Declined,
    Escalated,
    EscalationReason,
    Handled,
    Recalled,
    ReportedIn,
    Summoned,
)
from libs.events.contracts.evaluation import CardIssued, Verified
from libs.events.log import History
from libs.events.policy import load
from tests.support.cases import caught_up
from tests.support.people import (
    PHOTO,
    SPECIALIST,
    People,
    Receipt,
    at,
    count,
    done,
    ups,
)
from tests.support.stack import running, whistle

TIME_LAPSE: Final = 1440
"""An urgent hour is 2.5 seconds."""
SLOW: Final = {"sign": "10 natural days", "handle": "20 natural days", "verify": "10 natural days"}
QUICK: Final = {"sign": "1 urgent hour", "handle": "2 urgent hours", "verify": "1 urgent hour"}
COVER, GRATING, LAMP, TOILET, BUILDING = "0101", "0102", "0103", "0301", "1104"
"""Of water (then roads), of water, of power, of sanitation; and one that a specialist must confirm."""
COMMUNITY: Final = "community:qiaotou"
E = TypeVar("E", bound=Event)
PAIRS: Final = 8
"""Cases in which the same race is run."""


def limits(content: dict[str, Any]) -> dict[str, Any]:
    sets = dict.fromkeys(content["sets"], SLOW) | {"urgent-12h": QUICK}
    return content | {"sets": sets, "report_in": "4 urgent hours"}


def escalation(content: dict[str, Any]) -> dict[str, Any]:
    steps = [{"after": "1 urgent hour", "card": "yellow"}, {"after": "2 urgent hours", "card": "red"}]
    return content | {"overdue": steps}


def evaluation(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"rating": {"stars_max": 3, "satisfied_from": 2, "within": "7 natural days"}}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    folder = tmp_path_factory.mktemp("policy") / "city"
    changed = {"limits": limits, "escalation": escalation, "evaluation": evaluation}
    with running(policy_dir=example_in(folder, time_lapse=TIME_LAPSE, **changed), replicas=2) as stack:
        yield stack


@pytest.fixture(scope="module", autouse=True)
def neglected(city: Stack) -> str:
    """A lamp that nobody cares for, from the beginning: its cards take a while."""
    body = {"category": LAMP, "description": "路灯不亮", "place": {"community": "qiaotou"}}
    return str(ask(city.service_url("intake"), "/cases", body=body)["case_id"])


@pytest_asyncio.fixture
async def people(city: Stack) -> AsyncGenerator[People]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield People(city, http)


# --- stories


async def test_the_case_of_dalad_is_told_minute_by_minute(people: People) -> None:
    receipt = await people.report(
        TOILET,
        "永来成西侧公厕外墙开裂",
        channel="patrol",
        place={"community": "qiaotou", "address": "永来成西"},
        photos=["https://photos.example.org/before.jpg"],
    )
    case_id = receipt.case_id
    await people.until(case_id, "assigned")
    assert (await people.ask("sanitation", case_id, "accept"))["ok"]
    assert (await people.ask("sanitation", case_id, "handle", note="墙面已修补", **PHOTO))["ok"]
    done(await people.judge(case_id, "verify", note="现场查看"))
    done(await people.rate(receipt.tracking_number, stars=2))
    history = await people.history(case_id)
    assert {entry.name: entry.envelope.actor for entry in history.entries if entry.name != "filed"} == {
        "reported": "channel:patrol",
        "assigned": "system:dispatch",
        "accepted": "department:sanitation",
        "handled": "department:sanitation",
        "verified": SPECIALIST,
        "closed": SPECIALIST,
        "rated": "resident",
    }
    assert await told(people, case_id) == [
        (
            "巡查网格员上报公共厕所（0301），桥头社区永来成西：“永来成西侧公厕外墙开裂”，附照片 1 张。",
            (
                "A grid worker on patrol reported Public toilet (0301), 永来成西, Qiaotou:"
                " “永来成西侧公厕外墙开裂”, with 1 photo."
            ),
        ),
        (
            "按规则直接立案：公共厕所（0301）。",
            "Filed as a case at once, as the rule book says: Public toilet (0301).",
        ),
        (
            "系统按责任清单派遣至环境卫生管理中心：签收，期限 TIME；处置，期限 TIME。",
            (
                "The system dispatched it to Sanitation Centre by the rule book:"
                " sign for it, until TIME; handle it, until TIME."
            ),
        ),
        ("环境卫生管理中心签收（亮绿灯）。", "Sanitation Centre signed for it (green light)."),
        (
            "环境卫生管理中心处置完成：墙面已修补，附照片 1 张。",
            "Sanitation Centre reports it handled: 墙面已修补, with 1 photo.",
        ),
        (
            "桥头社区网格专员核查通过：现场查看。",
            "The grid specialist of Qiaotou looked at it, and it is good: 现场查看.",
        ),
        ("结案：已解决：现场查看。", "The case was closed: settled: 现场查看."),
        (
            "诉求人评价：2 星，满意，已联系，已解决。",
            "The reporter rated it: 2 stars, satisfied, reached, solved.",
        ),
    ]
    seen = await people.standing(receipt.tracking_number)
    assert (seen["state"], seen["ending"]["outcome"], seen["steps"][-1]["state"]) == (
        "closed",
        "resolved",
        "rated",
    )


async def told(people: People, case_id: str) -> list[tuple[str, str]]:
    """What `whistle show` says, sentence by sentence in both languages, the times left out."""
    shown = await asyncio.to_thread(whistle, people.stack, "show", case_id)
    assert shown.returncode == 0, shown.stderr
    found = re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d {2}(.+)\n {18}(.+)$", shown.stdout, re.MULTILINE)
    return [(without_times(zh), without_times(en)) for zh, en in found]


def without_times(text: str) -> str:
    return re.sub(r"\d\d-\d\d \d\d:\d\d", "TIME", text)


async def test_a_community_calls_three_departments_and_one_does_not_come(people: People) -> None:
    case_id = (await people.assigned(COVER)).case_id
    called: dict[str, Any] = {
        "departments": ["water", "roads", "power"],
        "lead": "water",
        "reason": "三家一起",
    }
    await enable(people.stack, ["water"])  # before the clock runs
    done(await people.centre(case_id, "whistle", by=COMMUNITY, **called))
    assert (await people.ask("water", case_id, "report-in", officer="water-qiaotou"))["ok"]
    done(await people.department("roads", case_id, "report-in", officer="roads-qiaotou", note="到场"))
    history = await people.until_up(case_id, EscalationReason.NOT_REPORTED_IN)
    [up] = ups(history)
    assert (up.department, up.level, up.acts) == ("power", "street", "street:hebin")
    summoned = [each for each in history.events if isinstance(each, Summoned)]
    assert [(each.department, each.lead, each.officer) for each in summoned] == [
        ("water", True, "water-qiaotou"),
        ("roads", False, "roads-qiaotou"),
        ("power", False, "power-qiaotou"),
    ]
    [due_at] = {each.report_in.due_at for each in summoned}
    assert up.due_at == due_at <= history.entries[-1].envelope.time
    done(await people.department("power", case_id, "report-in", officer="power-qiaotou"))
    await people.handled("water", case_id)
    done(await people.judge(case_id, "verify"))
    for department, stars in (("water", 3), ("roads", 3), ("power", 1)):
        done(await people.judge(case_id, "score", by=COMMUNITY, department=department, stars=stars))
    said = [zh for zh, _ in await told(people, case_id)]
    assert said[3:11] == [
        "桥头社区吹哨，召集供排水公司、市政养护所、路灯管理所，供排水公司牵头：三家一起",
        "供排水公司（water-qiaotou）须在 TIME 前报到。",
        "市政养护所（roads-qiaotou）须在 TIME 前报到。",
        "路灯管理所（power-qiaotou）须在 TIME 前报到。",
        "供排水公司报到：water-qiaotou。",
        "市政养护所报到：roads-qiaotou：到场。",
        "提醒路灯管理所：请在 TIME 前报到。",
        "因未按时报到升级，现由河滨街道负责。",
    ]
    assert said[-1] == "桥头社区评价路灯管理所 1 星。"


async def test_what_two_departments_return_goes_up_and_not_round(people: People) -> None:
    case_id = (await people.assigned(COVER)).case_id
    assert (await people.ask("water", case_id, "decline", reason="不是供水井盖"))["ok"]
    assert last(await people.history(case_id), Assigned).department == "roads"
    done(await people.department("roads", case_id, "decline", reason="也不是我们的"))
    [up] = ups(history := await people.history(case_id))
    assert (up.reason, up.acts, up.department) == (EscalationReason.RETURNED_TWICE, "street:hebin", None)
    assert count(history, "assigned") == 2
    done(await people.centre(case_id, "assign", department="telecom", reason="通信井盖"))
    await people.handled("telecom", case_id)
    done(await people.judge(case_id, "verify"))
    assert (await people.names(case_id))[2:] == [
        *("assigned", "declined", "assigned", "declined", "escalated", "assigned"),
        *("accepted", "handled", "verified", "closed"),
    ]
    said = [en for _, en in await told(people, case_id)]
    assert said[7] == (
        "The command centre of Hebin Street dispatched it to Telecommunications Company by hand:"
        " sign for it, until TIME; handle it, until TIME."
    )


async def test_more_time_is_given_and_a_pause_does_not_count(people: People) -> None:
    case_id = (await people.assigned(COVER)).case_id
    done(await people.department("water", case_id, "accept"))
    due_at = last(await people.history(case_id), Assigned).due_at
    assert due_at
    until = due_at + timedelta(minutes=2)
    asked = await people.ask("water", case_id, "extend", until=until.isoformat(), reason="等配件")
    assert asked["ok"]
    done(await people.centre(case_id, "grant", note="同意"))
    done(await people.centre(case_id, "pause", reason="weather"))
    assert (await told(people, case_id))[-1][0].endswith("暂停计时：恶劣天气无法作业。"), (
        "and meanwhile time passes"
    )
    done(await people.centre(case_id, "resume"))
    history = await people.history(case_id)
    granted, paused, resumed = history.entries[-3:]
    assert granted.event.model_dump()["due_at"] == until
    stood_still = resumed.envelope.time - paused.envelope.time
    moved = resumed.event.model_dump()["due_at"] - until
    assert stood_still > timedelta(milliseconds=100)
    assert abs(moved - stood_still) < timedelta(milliseconds=1)
    await people.handled("water", case_id)
    done(await people.judge(case_id, "verify"))
    assert [zh for zh, _ in await told(people, case_id)][4:8] == [
        "供排水公司申请延期至 TIME：等配件",
        "河滨街道指挥调度中心批准延期至 TIME：同意。",
        "河滨街道指挥调度中心暂停计时：恶劣天气无法作业。",
        "河滨街道指挥调度中心恢复计时，期限 TIME。",
    ]


async def test_bad_work_is_done_again_and_goes_up_the_second_time(people: People) -> None:
    case_id = (await people.assigned(COVER)).case_id
    await people.handled("water", case_id)
    for number, reason in enumerate(("仍有异响", "还是有异响"), 1):
        done(
            await people.judge(
                case_id, "return", reason=reason, photos=["https://photos.example.org/still.jpg"]
            )
        )
        if number == 2:
            await people.until_up(case_id, EscalationReason.FAILED_VERIFICATION_TWICE)
        done(await people.department("water", case_id, "handle", note=f"第 {number} 次返工", **PHOTO))
    done(await people.judge(case_id, "verify"))
    assert (await people.names(case_id))[3:] == [
        *("accepted", "handled", "handling-returned", "handled", "handling-returned", "escalated"),
        *("handled", "verified", "closed"),
    ]
    assert [up.acts for up in ups(await people.history(case_id))] == ["street:hebin"]


async def test_a_dissatisfied_reporter_reopens_once(people: People) -> None:
    receipt = await people.settled(COVER, "water")
    poor = {"solved": False, "stars": 1, "text": "又响了", "reopen": True}
    assert len(done(await people.rate(receipt.tracking_number, **poor))["event_ids"]) == 2
    history = await people.until(receipt.case_id, "assigned", times=2)
    [up] = ups(history)
    assert (up.reason, up.acts, up.department) == (EscalationReason.REOPENED, "street:hebin", "water")
    assert (await people.standing(receipt.tracking_number))["state"] == "assigned"
    await people.handled("water", receipt.case_id)
    done(await people.judge(receipt.case_id, "verify"))
    before = await people.history(receipt.case_id)
    again = await people.rate(receipt.tracking_number, **poor)
    assert (again.status_code, again.json()["code"]) == (409, "reopened_already")
    assert (await people.history(receipt.case_id)).version == before.version
    done(await people.rate(receipt.tracking_number, **poor | {"reopen": False}))
    assert (await people.standing(receipt.tracking_number))["state"] == "closed"


async def test_whoever_reported_the_same_gets_the_same_answer(people: People) -> None:
    grid = load(example_policy()).grids[0]
    ring = grid.polygons[0][0][:-1]
    place = {
        "longitude": sum(point[0] for point in ring) / len(ring),
        "latitude": sum(point[1] for point in ring) / len(ring),
    }
    one = await people.assigned(COVER, "北门外的井盖响得厉害", place=place)
    await caught_up(people.stack, "intake")
    other = await people.report(COVER, "北门外的井盖响得很厉害", place=place)
    await people.until(other.case_id, "merged")
    await people.until(one.case_id, "joined")
    await people.handled("water", one.case_id)
    done(await people.judge(one.case_id, "verify", by=f"specialist:{grid.community}", note="井盖已换"))
    await people.until(other.case_id, "closed")
    mine, theirs = [await people.standing(each.tracking_number) for each in (one, other)]
    assert (mine["joined"], theirs["joined"]) == (False, True)
    for part in ("state", "name_zh", "department", "closed_at"):
        assert theirs[part] == mine[part], part
    for part in ("outcome", "name_zh", "note"):
        assert theirs["ending"][part] == mine["ending"][part], part
    assert theirs["ending"]["note"] == "井盖已换"
    assert count(await people.history(other.case_id), "assigned") == 0, "the work is done once"
    done(await people.rate(other.tracking_number, stars=3))


async def test_what_is_no_case_is_told_with_its_reason(people: People) -> None:
    receipt = await people.report(BUILDING, "邻居在院里种花")
    assert (await people.standing(receipt.tracking_number))["state"] == "reported"
    done(await people.staff(receipt.case_id, "reject", reason="自家院内种花，不属违建"))
    seen = await people.standing(receipt.tracking_number)
    assert (seen["state"], seen["reason"]) == ("rejected", "自家院内种花，不属违建")
    assert (await told(people, receipt.case_id))[-1] == (
        "桥头社区网格专员不予立案：自家院内种花，不属违建",
        "The grid specialist of Qiaotou did not accept it as a case: 自家院内种花，不属违建",
    )


async def test_what_nobody_cares_for_climbs_to_the_city_and_earns_both_cards(
    people: People, neglected: str
) -> None:
    history = await people.until(neglected, "card-issued", times=2)
    assert [(up.reason, up.level, up.step) for up in ups(history)] == [
        (EscalationReason.NOT_SIGNED, "community", None),
        (EscalationReason.NOT_HANDLED, "street", None),
        (EscalationReason.LONG_OVERDUE, "district", 1),
        (EscalationReason.LONG_OVERDUE, "city", 2),
    ]
    cards = [each for each in history.events if isinstance(each, CardIssued)]
    assert [(each.department, each.colour) for each in cards] == [("power", "yellow"), ("power", "red")]
    said = [zh for zh, _ in await told(people, neglected)]
    assert said[4] == "因未按时签收升级，现由桥头社区负责。"
    assert [each for each in said if "牌" in each] == ["路灯管理所被亮黄牌。", "路灯管理所被亮红牌。"]
    await people.handled("power", neglected)
    done(await people.judge(neglected, "verify"))
    assert (await people.names(neglected))[-1] == "closed"


def last(history: History, kind: type[E]) -> E:
    return [event for event in history.events if isinstance(event, kind)][-1]


# --- in the same moment

Hand = Callable[[], Awaitable[object]]
NEAR: Final = tuple(
    timedelta(milliseconds=each) for each in (-20, 10, 40, 70, 100, 120, 140, 160, 190, 230, 280)
)
"""How long after a deadline a hand acts: a timer that is due comes some 20 to 300 milliseconds after it."""


@dataclass(frozen=True, slots=True)
class Race:
    """A deadline and the act that it waits for, told once each at most, and never one after the other was in time."""

    case_id: str
    act: type[Event]
    reason: EscalationReason
    department: str = "water"

    def assert_one_story(self, history: History) -> bool:
        """Whether the hand was late."""
        told = [(entry.name, str(entry.envelope.time)) for entry in history.entries]
        acts = [
            entry
            for entry in history.entries
            if isinstance(entry.event, self.act)
            and getattr(entry.event, "department", None) == self.department
        ]
        missed = [
            entry
            for entry in history.entries
            if isinstance(entry.event, Escalated) and entry.event.reason is self.reason
        ]
        times = [entry.envelope.time for entry in history.entries]
        assert times == sorted(times), told
        assert len(acts) == 1, told
        assert len(missed) <= 1, told
        if not missed:
            return False
        [acted], [late] = acts, missed
        due_at = late.event.model_dump()["due_at"]
        assert late.version < acted.version, told
        assert due_at <= late.envelope.time <= acted.envelope.time, told
        return True


async def in_the_moment(due_at: datetime, shift: timedelta, hand: Hand) -> None:
    await at(due_at + shift)
    await hand()


async def test_a_timer_and_a_hand_in_the_same_moment_tell_one_story(people: People) -> None:
    async with asyncio.TaskGroup() as group:
        kinds = (signs_when_due, handles_when_due, verifies_when_due, reports_in_when_due)
        races = [
            group.create_task(kind(people, number, shift))
            for number, shift in enumerate(NEAR)
            for kind in kinds
        ]
    late = {
        kind.__name__: sum(
            [
                race.assert_one_story(await people.history(race.case_id))
                for race in map(asyncio.Task.result, some)
            ]
        )
        for kind, some in zip(kinds, (races[0::4], races[1::4], races[2::4], races[3::4]), strict=True)
    }
    print(f"of {len(NEAR)} hands each the timer was first for: {late}")  # noqa: T201 - what the race was like


async def signs_when_due(people: People, number: int, shift: timedelta) -> Race:
    case_id = (await people.assigned(GRATING)).case_id
    sign = last(await people.history(case_id), Assigned).sign
    assert sign
    await in_the_moment(
        sign.due_at, shift, lambda: accepted(people, case_id, number, by_bus=bool(number % 2))
    )
    # Its next deadline is here: all that is to be said of the first one has been said.
    await people.until_up(case_id, EscalationReason.NOT_HANDLED)
    return Race(case_id, Accepted, EscalationReason.NOT_SIGNED)


async def accepted(people: People, case_id: str, replica: int, *, by_bus: bool) -> None:
    if by_bus:
        assert (await people.ask("water", case_id, "accept"))["ok"]
    else:
        done(await people.department("water", case_id, "accept", replica))


async def handles_when_due(people: People, number: int, shift: timedelta) -> Race:
    case_id = (await people.assigned(GRATING)).case_id
    done(await people.department("water", case_id, "accept"))
    due_at = last(await people.history(case_id), Assigned).due_at
    assert due_at
    hand = lambda: people.department("water", case_id, "handle", number, **PHOTO)  # noqa: E731
    await in_the_moment(due_at, shift, hand)
    await people.until_up(case_id, EscalationReason.NOT_VERIFIED)
    return Race(case_id, Handled, EscalationReason.NOT_HANDLED)


async def verifies_when_due(people: People, number: int, shift: timedelta) -> Race:
    case_id = (await people.assigned(GRATING)).case_id
    await people.handled("water", case_id)
    verify = last(await people.history(case_id), Handled).verify
    assert verify
    await in_the_moment(verify.due_at, shift, lambda: people.judge(case_id, "verify", number))
    return Race(case_id, Verified, EscalationReason.NOT_VERIFIED)


async def reports_in_when_due(people: People, number: int, shift: timedelta) -> Race:
    case_id = (await people.assigned(COVER)).case_id
    called: dict[str, Any] = {"departments": ["water", "roads"], "lead": "water", "reason": "一起"}
    done(await people.centre(case_id, "whistle", **called))
    done(await people.department("water", case_id, "report-in", officer="w"))
    due_at = last(await people.history(case_id), Summoned).report_in.due_at
    hand = lambda: people.department("roads", case_id, "report-in", number, officer="r")  # noqa: E731
    await in_the_moment(due_at, shift, hand)
    return Race(case_id, ReportedIn, EscalationReason.NOT_REPORTED_IN, "roads")


async def test_a_case_that_is_moved_while_two_sign_for_it_is_signed_by_who_has_it(people: People) -> None:
    receipts = await asyncio.gather(*(people.assigned(COVER) for _ in range(PAIRS)))
    for case_id in (each.case_id for each in receipts):
        answers = await asyncio.gather(
            people.department("water", case_id, "accept", 0),
            people.department("roads", case_id, "accept", 1),
            people.ask("water", case_id, "accept"),
            people.centre(case_id, "assign", 1, department="roads", reason="改派"),
            people.department("roads", case_id, "accept", 0),
        )
        holder: str | None = None
        signed: list[str] = []
        for event in (await people.history(case_id)).events:
            match event:
                case Assigned():
                    holder = event.department
                case Recalled() | Declined():
                    assert event.department == holder
                    holder = None
                case Accepted():
                    assert event.department == holder, answers
                    signed.append(event.department)
                case _:
                    pass
        assert holder == "roads"
        assert len(signed) == len(set(signed)), answers
        # Who was told that it signed did sign, and nobody else.
        yes = {
            *(["water"] if answers[0].status_code == 200 or answers[2]["ok"] else []),
            *(["roads"] if 200 in {answers[1].status_code, answers[4].status_code} else []),
        }
        assert yes == set(signed)
        done(await people.department("roads", case_id, "accept"))


async def test_two_specialists_file_and_reject_at_once_and_one_is_told_so(people: People) -> None:
    for number in range(PAIRS):
        receipt = await people.report(BUILDING, f"第 {number} 处搭建")
        file, reject = await asyncio.gather(
            people.staff(receipt.case_id, "file"),
            people.staff(receipt.case_id, "reject", by="centre:hebin", reason="不属实"),
        )
        await settle_one(people, receipt, {"filed": file, "rejected": reject})
        names = await people.names(receipt.case_id)
        late, code = (reject, "already_filed") if "filed" in names else (file, "already_rejected")
        assert late.json()["code"] == code
        if "filed" in names:
            await people.until(receipt.case_id, "assigned")
        else:
            await caught_up(people.stack, "dispatch")
            assert await people.names(receipt.case_id) == ["reported", "rejected"]


async def test_two_verifiers_at_once_leave_it_closed_or_sent_back(people: People) -> None:
    receipts = await asyncio.gather(*(people.assigned(COVER) for _ in range(PAIRS)))
    for number, receipt in enumerate(receipts):
        await people.handled("water", receipt.case_id)
        judged = [
            people.judge(receipt.case_id, "verify", number),
            people.judge(receipt.case_id, "return", number + 1, by="grid-worker:qiaotou-01", reason="不平"),
        ]
        verified, returned = await asyncio.gather(*judged)
        await settle_one(people, receipt, {"verified": verified, "handling-returned": returned})
        names = await people.names(receipt.case_id)
        late, code = (returned, "case_closed") if "verified" in names else (verified, "not_handled")
        assert late.json()["code"] == code
        assert names[-1] == ("closed" if "verified" in names else "handling-returned")


async def settle_one(people: People, receipt: Receipt, answers: dict[str, httpx.Response]) -> None:
    """One of two was done and the other refused, and the log says the same."""
    assert sorted(answer.status_code for answer in answers.values()) == [200, 409]
    names = await people.names(receipt.case_id)
    for name, answer in answers.items():
        assert names.count(name) == (1 if answer.status_code == 200 else 0)


async def test_what_is_said_at_once_to_two_replicas_stands_in_the_order_of_its_times(people: People) -> None:
    case_id = (await people.assigned(COVER)).case_id
    done(await people.department("water", case_id, "accept"))
    for again in range(3):  # the first time the connections are made one after the other
        said = [
            people.department("water", case_id, "progress", number, note=f"{again}: 第 {number} 步")
            for number in range(PAIRS)
        ]
        for answer in await asyncio.gather(*said):
            done(answer)
    history = await people.history(case_id)
    assert count(history, "progress") == 3 * PAIRS
    times = [entry.envelope.time for entry in history.entries]
    assert times == sorted(times), "the case as of a moment is a beginning of its log"
