"""What may be done about people's data: deciders, the way somebody is named, released facts, the backup's file."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cli.output import UsageError
from cli.persons.copying import notice
from cli.persons.telling import told
from cli.persons.who import read
from cli.stack.rulebook import example_policy
from cli.stack.state import repository
from libs.events import policy
from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CaseClosed, CaseReopened, Outcome
from libs.events.contracts.intake import CaseRejected
from libs.events.contracts.persons import (
    PERSON_EVENTS,
    ErasureOrdered,
    Ground,
    HoldLifted,
    HoldPlaced,
    PersonErased,
    PersonExported,
)
from libs.events.envelope import Entry, Origin, encode, envelope_class
from libs.events.errors import VaultBackupInvalid
from libs.events.ids import derived_event_id
from libs.events.personal.deciding import (
    Asked,
    Case,
    Ends,
    Hold,
    Refusal,
    Standing,
    Why,
    evolve,
    lift_hold,
    order_erasure,
    place_hold,
    record_erased,
    standing_of,
)
from libs.events.personal.records import decode
from libs.events.personal.retention import Known, due
from libs.events.policy.measures import Retention
from libs.events.vault.backup import examine

NOW: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PERSON: Final = "p0123456789abcdefghjk"
CASE: Final = "0123456789abcdefghjk"
GOLDEN: Final = repository() / "tests" / "golden" / "persons"
EXAMPLES: Final[dict[type[Event], Event]] = {
    HoldPlaced: HoldPlaced(reason="court case 17/2026"),
    HoldLifted: HoldLifted(number=1, reason="court case ended"),
    PersonExported: PersonExported(cases=2),
    ErasureOrdered: ErasureOrdered(ground=Ground.REQUEST, reference="A-7", cases=2, cases_open=1),
    PersonErased: PersonErased(
        receipt="0197c6a0-5a3e-7c3e-9a35-3d0e6a4f9f12", ground=Ground.REQUEST, ordered_at=NOW, values=3
    ),
}


def entry(event: Event, version: int, target: str = PERSON) -> Entry:
    """A fact about a person as it would stand in the stream."""
    moment = NOW + timedelta(minutes=version)
    event_id = derived_event_id(target, str(version))
    envelope = envelope_class(type(event))(
        id=event_id,
        source=event.SOURCE,
        type=event.TYPE,
        subject=target,
        time=moment,
        recordedtime=moment,
        origin=Origin.LIVE,
        actor="operator:cli",
        correlationid=event_id,
        data=event,
    )
    return Entry(version, target, event.name(), version, envelope)


def test_every_fact_about_people_has_an_example_that_stays_readable() -> None:
    assert list(EXAMPLES) == list(PERSON_EVENTS)
    assert {path.stem for path in GOLDEN.iterdir()} == {event.TYPE for event in PERSON_EVENTS}
    for version, (kind, event) in enumerate(EXAMPLES.items(), 1):
        stored = (GOLDEN / f"{kind.TYPE}.json").read_bytes()
        assert decode(stored).data == event
        assert orjson.loads(encode(entry(event, version).envelope)) == orjson.loads(stored)


def test_names_in_subjects_are_unique() -> None:
    names = [event.name() for event in PERSON_EVENTS]
    assert names == ["hold-placed", "hold-lifted", "exported", "erasure-ordered", "erased"]


# What may be done.


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    """Any story that deciders can have made."""
    standing = Standing(PERSON)
    for _ in range(draw(st.integers(0, 8))):
        match draw(st.sampled_from(["hold", "lift", "export", "order", "erase"])):
            case "hold":
                event: Event | Refusal | None = place_hold(standing, draw(st.sampled_from("abc")))
            case "lift":
                event = lift_hold(standing, draw(st.none() | st.integers(1, 8)), "over")
            case "export":
                event = PersonExported(cases=1)
            case "order":
                event = order_erasure(standing, (), Asked(Ground.REQUEST))
            case _:
                event = record_erased(standing, 1) if standing.order else None
        if isinstance(event, Event):
            standing = evolve(standing, entry(event, standing.version + 1))
    return standing


HOLD: Final = Hold(CASE, 1, "court", NOW, "operator:cli")
CASES: Final = st.lists(
    st.builds(
        Case,
        case_id=st.text("0123456789abcdef", min_size=20, max_size=20),
        category=st.just("0101"),
        ended_at=st.none() | st.just(NOW),
        holds=st.sampled_from([(), (), (HOLD,)]),
    ),
    max_size=4,
)


@given(standings(), CASES, st.booleans())
def test_whoever_is_held_or_waits_for_an_answer_is_not_erased(
    person: Standing, cases: list[Case], even_open: bool
) -> None:
    decided = order_erasure(person, cases, Asked(Ground.REQUEST, "A-7", even_open))
    is_held = bool(person.holds) or any(case.holds for case in cases)
    waits = any(case.ended_at is None for case in cases)
    if isinstance(decided, ErasureOrdered):
        assert not is_held
        assert not person.order
        assert even_open or not waits
        assert (decided.cases, decided.cases_open) == (
            len(cases),
            sum(case.ended_at is None for case in cases),
        )
    else:
        assert person.order or is_held or (waits and not even_open), "it is only refused with a reason"
        assert decided.why is (Why.ERASED if person.order else Why.HELD if is_held else Why.OPEN)
        assert told(decided)


@given(standings(), st.integers(0, 9))
def test_a_receipt_is_written_once(person: Standing, values: int) -> None:
    if person.order is None:
        return
    written = record_erased(person, values)
    if person.erased_at:
        assert written is None
    else:
        assert written is not None
        assert (written.receipt, written.ground) == (person.order.receipt, person.order.ground)
        assert record_erased(evolve(person, entry(written, person.version + 1)), values) is None


@given(standings(), st.sampled_from("abcd"))
def test_the_same_hold_again_adds_nothing_and_a_lifted_one_is_gone(person: Standing, reason: str) -> None:
    placed = place_hold(person, reason)
    if person.order:
        assert isinstance(placed, Refusal), "what is destroyed cannot be kept"
        return
    if isinstance(placed, HoldPlaced):
        person = evolve(person, entry(placed, person.version + 1))
    assert place_hold(person, reason) is None
    [number] = [hold.number for hold in person.holds if hold.reason == reason]
    lifted = lift_hold(person, number, "over")
    assert isinstance(lifted, HoldLifted)
    after = evolve(person, entry(lifted, person.version + 1))
    assert [hold for hold in person.holds if hold.number != number] == list(after.holds)
    assert isinstance(lift_hold(after, number, "over"), Refusal)


def test_of_several_holds_one_must_be_named() -> None:
    two = standing_of(PERSON, [entry(HoldPlaced(reason="a"), 1), entry(HoldPlaced(reason="b"), 2)])
    refused = lift_hold(two, None, "over")
    assert isinstance(refused, Refusal)
    assert refused.why is Why.SEVERAL_HOLDS
    assert lift_hold(two, 2, "over") == HoldLifted(number=2, reason="over")


def test_a_case_is_over_until_it_is_reopened() -> None:
    ends = Ends()
    closed = CaseClosed(outcome=Outcome.RESOLVED, note="")
    ends.note(CASE, closed, NOW)
    assert ends.ended == {CASE: NOW}
    ends.note(CASE, CaseReopened(by="reporter", reason="no", count=1), NOW)
    assert ends.ended == {}
    ends.note(CASE, CaseRejected(reason="no case"), NOW + timedelta(days=1))
    assert ends.ended == {CASE: NOW + timedelta(days=1)}


# Whose time is over.


def years(category: str, ended_at: datetime) -> datetime | None:
    """A year for what is short, three for the others, for ever for what is kept."""
    if category == "kept":
        return None
    return ended_at + timedelta(days=365 if category == "short" else 1_095)


KNOWN: Final = st.builds(
    Known,
    person=st.text("0123456789", min_size=4, max_size=4),
    made_at=st.just(NOW),
    values=st.just(1),
    cases=st.lists(
        st.builds(
            Case,
            case_id=st.just(CASE),
            category=st.sampled_from(["short", "short", "long", "kept"]),
            ended_at=st.none() | st.integers(0, 365).map(lambda days: NOW + timedelta(days=days)),
            holds=st.sampled_from([(), (HOLD,)]),
        ),
        max_size=3,
    ).map(tuple),
    holds=st.sampled_from([(), (HOLD,)]),
)


@given(st.lists(KNOWN, max_size=5), st.integers(0, 1_500))
def test_somebody_is_due_when_the_longest_of_their_cases_wants_them_no_longer(
    people: list[Known], days: int
) -> None:
    now = NOW + timedelta(days=days)
    found = due(people, years, now)
    for known in people:
        ends = [years(case.category, case.ended_at) if case.ended_at else None for case in known.cases]
        over = all(end is not None and end <= now for end in ends) if known.cases else days >= 1_095
        assert (known in [each.known for each in found]) == over
    assert [each.since for each in found] == sorted(each.since for each in found)
    for each in found:
        of_cases = [hold for case in each.known.cases for hold in case.holds]
        assert each.holds == (*each.known.holds, *of_cases)
    later = {each.known for each in due(people, years, now + timedelta(days=1))}
    assert {each.known for each in found} <= later, "time makes nobody less due"


def test_the_example_keeps_a_contact_for_three_years_and_some_for_one() -> None:
    book = policy.load(example_policy())
    ended, lapse = datetime(2026, 3, 2, 9, 0, tzinfo=book.zone), book.city.time_lapse
    for category, days in (("0101", 1_095), ("1401", 365)):
        assert book.kept_until(category, ended) == ended + timedelta(days=days) / lapse
    for_ever = book.model_copy(update={"retention": Retention()})
    assert for_ever.kept_until("0101", ended) is None
    assert Retention.model_validate({"categories": {"01": "30 natural days"}}).of("02") is None
    with pytest.raises(ValidationError, match="natural days"):
        Retention.model_validate({"contact": "5 working days"})


# How somebody is named.


@pytest.mark.parametrize(
    ("who", "kind", "text"),
    [
        ("138 7531 9024", "said", None),
        ("+86 (0)512-87531902", "said", None),
        ("１３８７５３１９０２４", "said", None),
        ("11010519491231002X", "said", None),
        (" o@x.example ", "said", "o@x.example"),
        (PERSON.upper(), "person", PERSON),
        (CASE, "case", CASE),
        ("12345678901234567890", "case", "12345678901234567890"),
        ("boston311/101001234", "case", None),
        ("7K3M-9QXP-V2TB-HW4D", "case", None),
        ("1234-5678-9012-3456", "case", None),
    ],
)
def test_somebody_is_named_by_what_they_know(who: str, kind: str, text: str | None) -> None:
    named = read(who)
    assert named.kind == kind
    assert text is None or named.text == text


@pytest.mark.parametrize("who", ["", "nobody", "12", "王小明", "p012", "123456789012345678901234"])
def test_what_names_nobody_is_refused(who: str) -> None:
    with pytest.raises(UsageError):
        read(who)


def test_a_notice_to_somebody_else_is_nobodys_business() -> None:
    document = {"time": NOW.isoformat(), "data": {"recipient": "department:water", "text": "secret"}}
    assert notice(document) is None
    document["data"] = {"recipient": "reporter", "text": "yours", "channel": "screen"}
    assert notice(document) == {"time": NOW.isoformat(), "text": "yours", "channel": "screen"}


# The backup's file.


def test_what_is_no_whole_backup_is_refused_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "vault"
    whole = _backup()
    file.write_bytes(whole)
    assert examine(file).persons == 1
    lines = whole.splitlines(keepends=True)
    for content, reason in {
        b"": "cut short",
        b"{}\n": "no whistle.vault.backup.v1",
        b"not json\n": "cut short, or is no backup",
        b"[]\n": "no backup",
        b"".join(lines[:-1]): "cut short",
        b"".join([*lines[:2], *lines[3:]]): "was changed",
        whole.replace(b'"values_sealed":3', b'"values_sealed":4'): "was changed",
        whole + lines[1]: "behind its end",
        lines[0] + b'{"table":"persons"}\n' + lines[-1]: "a row in it",
        lines[0] + b'{"table":"others"}\n' + lines[-1]: "a row in it",
    }.items():
        file.write_bytes(content)
        with pytest.raises(VaultBackupInvalid, match=reason):
            examine(file)


def _backup() -> bytes:
    moment = NOW.isoformat()
    rows = [
        {
            "format": "whistle.vault.backup.v1",
            "made_at": moment,
            "master_keys": ["ab"],
            "persons": 1,
        },
        {
            "table": "master_keys",
            "master_key_id": "ab",
            "public_key": "AAAA",
            "is_current": True,
            "published_at": moment,
        },
        {
            "table": "persons",
            "person": PERSON,
            "contact_digest": "AAAA",
            "public_key": "AAAA",
            "wrapped_key": "wrapped.v1.ab.AA",
            "master_key_id": "ab",
            "values_sealed": 3,
            "made_at": moment,
            "erased_at": None,
        },
    ]
    content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    return content + orjson.dumps({"end": sha256(content).hexdigest()}) + b"\n"
