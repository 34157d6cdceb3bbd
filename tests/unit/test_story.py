"""A case as it is told: every fact is a sentence in both languages, and the real case of Dalad reads as it was."""

import re
from datetime import datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from cli.commands.show import story
from cli.output import EVENTS_ZH
from cli.story import Narrator
from libs.events.contracts import EVENTS
from libs.events.contracts.base import Event, Place
from libs.events.contracts.dispatch import Accepted, Assigned, Deadline, Handled
from libs.events.contracts.evaluation import CaseClosed, HandlingReturned, Outcome, Rated, Verified
from libs.events.contracts.intake import CaseFiled, CaseMerged, CaseReported
from libs.events.envelope import Context, Entry, seal
from libs.events.ids import derived_event_id
from libs.events.log import History
from libs.events.policy import Category, Community, Department, Name, Street
from libs.events.testing.examples import CASE_ID, EXAMPLES, entry_of
from services.intake.standing import INTERNAL, STATE_NAMES, STEP_NAMES, standing
from tests.unit.specs import rule_book

ZONE: Final = ZoneInfo("Asia/Shanghai")
CHINA: Final = timezone(timedelta(hours=8))
BOOK = rule_book()
DALAD = rule_book(
    departments=(
        Department(code="water", name=Name(zh="供水公司", en="Water Company")),
        Department(code="roads", name=Name(zh="环卫局", en="Sanitation Bureau")),
    ),
    city=BOOK.city.model_copy(
        update={
            "streets": (
                Street(
                    code="gongye",
                    name=Name(zh="工业街道", en="Gongye Street"),
                    communities=tuple(
                        Community(code=code, name=Name(zh="永来城社区", en="Yonglaicheng"))
                        for code in ("qiaotou", "liuyuan")
                    ),
                ),
            )
        }
    ),
    categories=(
        BOOK.categories[0].model_copy(update={"name": Name(zh="公共厕所", en="Public toilet")}),
        Category(**(BOOK.categories[1].model_dump())),
    ),
)


def at(day: int, hour: int, minute: int) -> datetime:
    return datetime(2018, 12, day, hour, minute, tzinfo=CHINA)


def history_of(*steps: tuple[datetime, str, Event]) -> History:
    entries = [
        Entry(
            version,
            CASE_ID,
            event.name(),
            version,
            seal(
                event,
                event_id=derived_event_id("story", str(version)),
                case_id=CASE_ID,
                context=Context(actor=actor, time=moment),
                recorded_at=moment,
            ),
        )
        for version, (moment, actor, event) in enumerate(steps, 1)
    ]
    return History(CASE_ID, tuple(entries))


PLACE: Final = Place(time_zone="Asia/Shanghai", address="永来城西", community="qiaotou", street="gongye")
LATRINE: Final = history_of(
    (
        at(24, 15, 5),
        "channel:patrol",
        CaseReported(
            category="0101", channel="patrol", description="厕所墙体开裂", place=PLACE, photos=("before.jpg",)
        ),
    ),
    (at(24, 15, 15), "specialist:qiaotou", CaseFiled(category="0101", reason="specialist")),
    (
        at(24, 15, 15),
        "system:dispatch",
        Assigned(
            department="roads", due_at=at(28, 15, 15), sign=Deadline(due_at=at(25, 15, 15)), rule="rest"
        ),
    ),
    (at(25, 15, 12), "department:roads", Accepted(department="roads")),
    (
        at(26, 15, 18),
        "department:roads",
        Handled(department="roads", note="墙体已修补", photos=("after.jpg",)),
    ),
    (
        at(27, 10, 0),
        "specialist:qiaotou",
        Verified(department="roads", by="specialist:qiaotou", note="现场核查"),
    ),
    (at(27, 10, 0), "system:evaluation", CaseClosed(department="roads", outcome=Outcome.RESOLVED, note="")),
    (
        at(27, 10, 20),
        "resident",
        Rated(department="roads", reached=True, solved=True, stars=2, satisfied=True),
    ),
)


def test_the_case_of_dalad_is_told_minute_by_minute() -> None:
    assert list(story(LATRINE, DALAD)) == [
        "2018-12-24 15:05  巡查网格员上报公共厕所（0101），永来城社区永来城西：“厕所墙体开裂”，附照片 1 张。",
        (
            "                  A grid worker on patrol reported Public toilet (0101), 永来城西, Yonglaicheng:"
            " “厕所墙体开裂”, with 1 photo."
        ),
        "2018-12-24 15:15  永来城社区网格专员核实并立案：公共厕所（0101）。",
        (
            "                  The grid specialist of Yonglaicheng verified it and filed it as a case:"
            " Public toilet (0101)."
        ),
        "2018-12-24 15:15  系统按责任清单派遣至环卫局：签收，期限 12-25 15:15；处置，期限 12-28 15:15。",
        (
            "                  The system dispatched it to Sanitation Bureau by the rule book:"
            " sign for it, until 12-25 15:15; handle it, until 12-28 15:15."
        ),
        "2018-12-25 15:12  环卫局签收（亮绿灯）。",
        "                  Sanitation Bureau signed for it (green light).",
        "2018-12-26 15:18  环卫局处置完成：墙体已修补，附照片 1 张。",
        "                  Sanitation Bureau reports it handled: 墙体已修补, with 1 photo.",
        "2018-12-27 10:00  永来城社区网格专员核查通过：现场核查。",
        "                  The grid specialist of Yonglaicheng looked at it, and it is good: 现场核查.",
        "2018-12-27 10:00  结案：已解决。",
        "                  The case was closed: settled.",
        "2018-12-27 10:20  诉求人评价：2 星，满意，已联系，已解决。",
        "                  The reporter rated it: 2 stars, satisfied, reached, solved.",
    ]


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=lambda event: event.name())
@pytest.mark.parametrize("book", [BOOK, None], ids=["book", "codes"])
def test_every_fact_is_a_sentence_in_both_languages(event: Event, book: object) -> None:
    text = Narrator(BOOK if book else None, ZONE).sentence(entry_of(event))
    assert re.match(r"[A-Z0-9“]", text.en)
    assert re.search(r"\w[.:]?", text.en)
    assert re.search("[\u4e00-\u9fff]", text.zh)
    for broken in ("None", "{", "  ", ": .", "：。"):
        assert broken not in text.en + text.zh


@pytest.mark.parametrize(
    ("actor", "told"),
    [
        ("resident", ("a resident", "居民")),
        ("system:dispatch", ("the system", "系统")),
        ("centre:gongye", ("the command centre of Gongye Street", "工业街道指挥调度中心")),
        ("department:roads", ("Sanitation Bureau", "环卫局")),
        ("department:gone", ("gone", "gone")),
        ("community:qiaotou", ("the community Yonglaicheng", "永来城社区")),
        ("specialist:nowhere", ("the grid specialist of nowhere", "nowhere网格专员")),
        ("import:boston311", ("the system boston311", "来源系统 boston311")),
        ("channel:sensor", ("a sensor", "感知设备")),
    ],
)
def test_who_acts_is_named_for_people(actor: str, told: tuple[str, str]) -> None:
    assert Narrator(DALAD, ZONE).who(actor) == told


def test_every_event_has_a_name_in_chinese() -> None:
    assert set(EVENTS_ZH) == {event.name() for event in EVENTS}


# --- the same for the reporter: where it stands


def test_every_fact_of_a_case_is_a_state_a_step_or_internal() -> None:
    of_cases = {event.name() for event in EVENTS if event.TYPE.startswith("whistle.case.")}
    assert set(STEP_NAMES) | INTERNAL == of_cases
    assert not set(STEP_NAMES) & INTERNAL
    assert set(STATE_NAMES) <= set(STEP_NAMES)
    for name, name_zh in STEP_NAMES.values():
        assert name.isascii()
        assert not name_zh.isascii()


@pytest.mark.parametrize("event", [event for event in EXAMPLES.values() if event.name() in STATE_NAMES])
def test_a_case_stands_where_the_newest_state_says(event: Event) -> None:
    history = History(CASE_ID, (LATRINE.entries[0], entry_of(event, 2)))
    assert standing("T", history, DALAD).state == event.name()


def test_what_is_internal_or_no_state_leaves_a_case_where_it_stood() -> None:
    told = standing("T", LATRINE, DALAD)
    assert (told.state, told.name, told.name_zh) == ("closed", "Closed", "已结案")
    assert told.steps[-1].state == "rated"
    assert (told.department, told.department_name_zh) == ("roads", "环卫局")
    assert told.ending is not None
    assert (told.ending.name, told.ending.name_zh) == ("settled", "已解决")


def test_one_sees_how_it_was_and_how_it_is() -> None:
    stored, elsewhere = "sha256:" + "8f" * 32, "https://photos.example.org/after.jpg"
    first = LATRINE.entries[0].event
    assert isinstance(first, CaseReported)
    reported = (at(24, 15, 5), "resident", first.model_copy(update={"photos": (stored, "an old name")}))
    handled = (at(26, 15, 18), "department:roads", Handled(department="roads", note="", photos=(elsewhere,)))
    back = (
        at(27, 9, 0),
        "specialist:x",
        HandlingReturned(department="roads", by="specialist:x", reason="no", count=1),
    )
    seen = standing("T", history_of(reported, handled), DALAD).photos
    assert (seen.before, seen.after) == ([f"/attachments/{'8f' * 32}"], [elsewhere])
    wanting = standing("T", history_of(reported, handled, back), DALAD).photos
    assert (wanting.before, wanting.after) == (seen.before, [])
    # Who reports it later sees what was done later.
    own = history_of(
        (at(27, 9, 0), "resident", first), (at(27, 9, 0), "resident", CaseMerged(into="x", reason="rule"))
    )
    assert standing("T", own, DALAD, history_of(reported, handled)).photos.after == []


def test_a_report_that_was_joined_stands_where_its_case_stands() -> None:
    report = LATRINE.entries[0].event
    own = history_of(
        (at(25, 9, 0), "resident", report),
        (at(25, 9, 0), "resident", CaseMerged(into=CASE_ID, reason="rule")),
    )
    told = standing("T", own, DALAD, LATRINE)
    assert (told.joined, told.state, told.reported_at) == (True, "closed", at(25, 9, 0))
    assert [step.state for step in told.steps] == [
        *("reported", "merged", "accepted", "handled", "verified", "closed", "rated")
    ]
