"""What carries a case forward holds all that was, byte for byte, and nothing else."""

import json
import zlib
from base64 import b64decode, b64encode
from hashlib import sha256

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.carrying import Bare, packed, whole
from libs.events.contracts.base import Event
from libs.events.contracts.ledger import CaseCarriedForward
from libs.events.envelope import encode
from libs.events.errors import CaseUnreadable
from libs.events.ledger.leaf import Leaf
from libs.events.subjects import case_subject
from libs.events.testing.examples import CASE_ID, EXAMPLES, envelope_of

ORDINARY = [event for event in EXAMPLES.values() if not isinstance(event, CaseCarriedForward)]


def bare(event: Event, version: int, department: str | None = None) -> Bare:
    subject = case_subject(CASE_ID, event.name(), version, department)
    return Bare(100 + 7 * version, subject, encode(envelope_of(event, version)))


def case_of(events: list[Event]) -> list[Bare]:
    return [bare(event, version) for version, event in enumerate(events, 1)]


def carrier(case: list[Bare], through: int = 500) -> Bare:
    return bare(packed(case, through), len(case) + 1)


def changed(carrier: Bare, **fields: object) -> Bare:
    document = orjson.loads(carrier.payload)
    document["data"] |= fields
    return carrier._replace(payload=orjson.dumps(document))


def repacked(carrier: Bare, items: list[list[object]]) -> str:
    return b64encode(zlib.compress(json.dumps(items, ensure_ascii=False).encode())).decode()


def items_in(carrier: Bare) -> list[list[object]]:
    found: list[list[object]] = json.loads(
        zlib.decompress(b64decode(orjson.loads(carrier.payload)["data"]["packed"]))
    )
    return found


@given(st.lists(st.sampled_from(ORDINARY), min_size=1, max_size=12), st.data())
def test_a_case_of_which_any_part_is_gone_is_whole(events: list[Event], data: st.DataObject) -> None:
    case = case_of(events)
    after = [
        bare(event, len(case) + 2 + at)
        for at, event in enumerate(data.draw(st.lists(st.sampled_from(ORDINARY), max_size=3)))
    ]
    everything = [*case, carrier(case), *after]
    gone = data.draw(st.integers(0, len(case)))
    assert whole(everything[gone:]) == everything


@given(st.integers(1, 4))
def test_a_case_that_is_carried_forward_again_and_again_does_not_swell(times: int) -> None:
    case = case_of(ORDINARY[:4])
    sizes = []
    for _ in range(times):
        case = (
            [*whole(case[-1:]), carrier(whole(case))]
            if case[-1].name == "carried-forward"
            else [*case, carrier(case)]
        )
        sizes.append(len(case[-1].payload))
    again = whole(case[-1:])
    assert [each.sequence for each in again] == [100 + 7 * version for version in range(1, 4 + times + 1)]
    assert again[:4] == case_of(ORDINARY[:4])
    assert sizes[-1] < 2 * sizes[0]


def test_what_never_was_carried_forward_stays_as_it_is() -> None:
    case = case_of(ORDINARY[:3])
    assert whole(case) == case
    assert whole([]) == []
    assert whole(case[1:]) == case[1:], "whoever needs the first one notices"


def test_the_digest_is_that_of_the_leaves_in_the_ledger() -> None:
    case = case_of(ORDINARY[:3])
    leaves = [
        Leaf("CASES", each.sequence, each.subject, orjson.loads(each.payload)["id"], each.payload).hash()
        for each in case
    ]
    assert packed(case, 9).digest == f"sha256:{sha256(b''.join(leaves)).hexdigest()}"


def test_an_event_that_holds_other_events_than_it_says_is_refused() -> None:
    case = case_of(ORDINARY[:3])
    good = carrier(case)
    items = items_in(good)
    other = [*items[0][:2], str(items[0][2]).replace("broken", "BROKEN")]
    assert other != items[0]
    broken = [
        changed(good, packed="!"),
        changed(good, packed=b64encode(b"no zlib").decode()),
        changed(good, packed=repacked(good, [other, *items[1:]])),
        changed(good, packed=repacked(good, items[1:])),
        changed(good, packed=repacked(good, [items[1], items[0], items[2]])),
        changed(good, packed=repacked(good, [*items, items[-1]])),
        changed(good, digest="sha256:" + "0" * 64),
        changed(good, events=2),
        good._replace(subject=good.subject.replace(CASE_ID, "jhgfedcba09876543210")),
        good._replace(payload=b"{}"),
        good._replace(payload=b"no json"),
    ]
    for each in broken:
        with pytest.raises(CaseUnreadable):
            whole([each])
    assert whole([good])[:3] == case
