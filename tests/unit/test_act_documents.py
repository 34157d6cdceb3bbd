"""An act as departments send it: what is understood, and what is wrong by which code, whatever the bytes."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.streams import ACT_BYTES_MAX
from services.dispatch.bodies import DEPARTMENT_VERBS, AcceptBody, DeclineBody, ExtendBody
from services.dispatch.inbox.documents import Act, Unclear, read_act
from services.dispatch.inbox.faults import AHEAD_SECONDS_MAX, BEHIND_DAYS_MAX, Fault, wrong

CASE: Final = "0" * 20
RECEIVED_AT: Final = datetime(2026, 3, 2, 1, 15, tzinfo=UTC)
SOUND: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "a-17",
    "source": "/departments/water",
    "type": "whistle.act.decline.v1",
    "subject": CASE,
    "time": "2026-03-02T09:15:00+08:00",
    "data": {"reason": "not ours"},
}
ABSENT: Final = object()


def document(**changes: Any) -> bytes:
    said = {name: value for name, value in (SOUND | changes).items() if value is not ABSENT}
    return orjson.dumps(said)


def read(said: bytes, department: str = "water") -> Act | Unclear:
    return read_act(department, said, RECEIVED_AT)


def test_an_act_is_understood() -> None:
    assert read(document()) == Act("water", "a-17", CASE, "decline", DeclineBody(reason="not ours"), None)


@pytest.mark.parametrize("data", [ABSENT, None, {}])
def test_what_needs_no_words_needs_no_data(data: object) -> None:
    found = read(document(type="whistle.act.accept.v1", data=data))
    assert isinstance(found, Act)
    assert found.body == AcceptBody()


def test_extensions_of_the_format_are_let_through() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    found = read(
        document(traceparent=parent, dataschema="urn:x", datacontenttype="application/json", partner="p")
    )
    assert isinstance(found, Act)
    assert found.traceparent == parent


@pytest.mark.parametrize(
    "time",
    [
        "2026-03-02T01:15:00Z",
        "2026-03-02t01:15:00.123456789z",
        (RECEIVED_AT + timedelta(seconds=AHEAD_SECONDS_MAX)).isoformat(),
        (RECEIVED_AT - timedelta(days=BEHIND_DAYS_MAX)).isoformat(),
    ],
)
def test_a_department_may_be_a_little_ahead_and_long_away(time: str) -> None:
    assert isinstance(read(document(time=time)), Act)


AHEAD: Final = (RECEIVED_AT + timedelta(seconds=AHEAD_SECONDS_MAX + 1)).isoformat()
BEHIND: Final = (RECEIVED_AT - timedelta(days=BEHIND_DAYS_MAX, seconds=1)).isoformat()
NESTED: Final = b'{"data":' + b"[" * 2_000 + b"]" * 2_000 + b"}"
WRONG: Final[list[tuple[bytes, Fault, str | None]]] = [
    (b"", Fault.NOT_JSON, None),
    (b"{", Fault.NOT_JSON, None),
    (b"[]", Fault.NOT_JSON, None),
    (b"NaN", Fault.NOT_JSON, None),
    (b'{"id": "\\ud800"}', Fault.NOT_JSON, None),
    (NESTED, Fault.NOT_JSON, None),
    (b'{"id": "\xff"}', Fault.NOT_UTF8, None),
    (document(data={"reason": "x" * ACT_BYTES_MAX}), Fault.TOO_LARGE, None),
    (document(specversion="0.3"), Fault.NOT_VALID, "specversion"),
    (document(specversion=ABSENT), Fault.NOT_VALID, "specversion"),
    (document(id=ABSENT), Fault.BAD_ID, "id"),
    (document(id=17), Fault.BAD_ID, "id"),
    (document(id=""), Fault.BAD_ID, "id"),
    (document(id="a" * 65), Fault.BAD_ID, "id"),
    (document(id="a/17"), Fault.BAD_ID, "id"),
    (document(id="a-17\n"), Fault.BAD_ID, "id"),
    (document(id="a\0"), Fault.BAD_ID, "id"),
    (document(source="/departments/roads"), Fault.FORGED_SOURCE, "source"),
    (document(source="/dispatch"), Fault.FORGED_SOURCE, "source"),
    (document(source=ABSENT), Fault.FORGED_SOURCE, "source"),
    (document(type="whistle.case.handled.v1"), Fault.WRONG_TYPE, "type"),
    (document(type="whistle.act.decline.v2"), Fault.WRONG_TYPE, "type"),
    (document(type=["whistle.act.decline.v1"]), Fault.WRONG_TYPE, "type"),
    (document(type="whistle.act.assign.v1"), Fault.UNKNOWN_VERB, "type"),
    (document(subject=ABSENT), Fault.BAD_CASE_ID, "subject"),
    (document(subject="*"), Fault.BAD_CASE_ID, "subject"),
    (document(subject=">"), Fault.BAD_CASE_ID, "subject"),
    (document(subject="0" * 19), Fault.BAD_CASE_ID, "subject"),
    (document(subject="ſ" * 20), Fault.BAD_CASE_ID, "subject"),
    (document(subject={"id": CASE}), Fault.BAD_CASE_ID, "subject"),
    (document(time="2026-03-02T09:15:00"), Fault.TIME_WITHOUT_ZONE, "time"),
    (document(time="2026-03-02"), Fault.NOT_VALID, "time"),
    (document(time="2026-02-30T09:15:00Z"), Fault.NOT_VALID, "time"),
    (document(time="2026-03-02T09:15:00+99:00"), Fault.NOT_VALID, "time"),
    (document(time="1772414100"), Fault.NOT_VALID, "time"),
    (document(time=1_772_414_100), Fault.NOT_VALID, "time"),
    (document(time=ABSENT), Fault.NOT_VALID, "time"),
    (document(time=AHEAD), Fault.TIME_IN_FUTURE, "time"),
    (document(time="9999-12-31T23:59:59-14:00"), Fault.TIME_IN_FUTURE, "time"),
    (document(time=BEHIND), Fault.TIME_TOO_OLD, "time"),
    (document(time="0001-01-01T00:00:00+14:00"), Fault.TIME_TOO_OLD, "time"),
    (document(Reason="x"), Fault.UNKNOWN_FIELD, "Reason"),
    (document(data_base64="e30="), Fault.UNKNOWN_FIELD, "data_base64"),
    (document(datacontenttype="text/plain"), Fault.NOT_VALID, "datacontenttype"),
    (document(data="not ours"), Fault.NOT_VALID, "data"),
    (document(data={}), Fault.NOT_VALID, "data.reason"),
    (document(data={"reason": 5}), Fault.NOT_VALID, "data.reason"),
    (document(data={"reason": ""}), Fault.NOT_VALID, "data.reason"),
    (document(data={"reason": "x" * 4_001}), Fault.NOT_VALID, "data.reason"),
    (document(data={"reason": "a\0b"}), Fault.NUL_CHARACTER, "data.reason"),
    (document(data={"reason": "x", "by": "centre:hebin"}), Fault.UNKNOWN_FIELD, "data.by"),
    (document(data={"reason": "x", "\0": 1}), Fault.UNKNOWN_FIELD, "data"),
    (
        document(type="whistle.act.extend.v1", data={"until": "2026-03-03T09:00:00", "reason": "x"}),
        Fault.TIME_WITHOUT_ZONE,
        "data.until",
    ),
]


@pytest.mark.parametrize(("said", "code", "field"), WRONG)
def test_what_is_wrong_has_a_code_a_place_and_a_reason_in_both_languages(
    said: bytes, code: Fault, field: str | None
) -> None:
    found = read(said)
    assert isinstance(found, Unclear)
    assert (found.wrong.code, found.wrong.field) == (code, field)
    assert found.wrong.reason.isascii()
    assert found.wrong.reason_zh
    assert not found.wrong.reason_zh.isascii()


def test_whoever_sent_it_hears_of_it_by_what_could_be_read() -> None:
    found = read(document(data={}))
    assert isinstance(found, Unclear)
    assert (found.id, found.case_id, found.verb) == ("a-17", CASE, "decline")
    forged = read(document(source="/departments/roads", id="*"))
    assert isinstance(forged, Unclear)
    assert (forged.department, forged.id, forged.case_id) == ("water", None, CASE)


def test_every_fault_has_words() -> None:
    worded = set(Fault) - {Fault.NOT_VALID, Fault.NUL_CHARACTER, Fault.UNKNOWN_FIELD}
    assert all(wrong(fault).reason != wrong(fault).reason_zh for fault in worded)


def test_a_later_time_is_understood_with_its_zone() -> None:
    until = "2026-03-03T09:00:00+08:00"
    found = read(document(type="whistle.act.extend.v1", data={"until": until, "reason": "parts"}))
    assert isinstance(found, Act)
    assert found.body == ExtendBody(until=datetime.fromisoformat(until), reason="parts")


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ATTRIBUTES: Final = st.sampled_from([*SOUND, "traceparent", "datacontenttype", "x"])


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A sound document with some attributes replaced, and perhaps a byte."""
    verb = draw(st.sampled_from([*DEPARTMENT_VERBS, "fly"]))
    changes = draw(st.dictionaries(ATTRIBUTES, JSON, max_size=2))
    try:
        said = orjson.dumps(SOUND | {"type": f"whistle.act.{verb}.v1"} | changes)
    except TypeError:  # lone surrogates and numbers beyond 64 bits, which no document can hold
        said = document()
    if draw(st.booleans()):
        at = draw(st.integers(0, len(said) - 1))
        said = said[:at] + draw(st.binary(max_size=2)) + said[at + 1 :]
    return said


@given(st.binary() | spoiled(), st.sampled_from(["water", "水务", "a b"]))
def test_whatever_the_bytes_it_is_an_act_of_its_sender_or_said_to_be_wrong(said: bytes, sender: str) -> None:
    found = read(said, sender)
    assert found.department == sender
    if isinstance(found, Unclear):
        assert found.wrong.code in set(Fault)
        orjson.dumps([*found.wrong, found.id, found.case_id, found.verb])  # it can be told
        return
    assert orjson.loads(said)["source"] == f"/departments/{sender}"
    assert type(found.body) is DEPARTMENT_VERBS[found.verb]
