"""Older versions of events: a made-up pair shows that what was stored is read in the newest words, for ever."""

from typing import ClassVar

import orjson
import pytest
from pydantic import ValidationError

from libs.events.contracts.base import Event
from libs.events.contracts.upcasting import Upcaster, Upcasters
from libs.events.envelope import Envelope, decoder, envelope_class
from libs.events.testing.examples import REPORTED_AT


class MeasuredV1(Event):
    """Water was measured, in a text."""

    TYPE: ClassVar[str] = "whistle.case.measured.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    level: str


class MeasuredV2(Event):
    """Water was measured, in centimetres."""

    TYPE: ClassVar[str] = "whistle.case.measured.v2"
    SOURCE: ClassVar[str] = "/dispatch"

    level_centimetres: int


class Measured(Event):
    """Water was measured, in metres, by somebody."""

    TYPE: ClassVar[str] = "whistle.case.measured.v3"
    SOURCE: ClassVar[str] = "/dispatch"

    level_metres: float
    by: str


class Emptied(Event):
    """Another event, of which there is one version."""

    TYPE: ClassVar[str] = "whistle.case.emptied.v1"
    SOURCE: ClassVar[str] = "/dispatch"


def to_centimetres(old: MeasuredV1) -> MeasuredV2:
    return MeasuredV2(level_centimetres=int(old.level.removesuffix(" cm")))


def to_metres(old: MeasuredV2) -> Measured:
    return Measured(level_metres=old.level_centimetres / 100, by="unknown")


STEPS = (Upcaster(MeasuredV1, MeasuredV2, to_centimetres), Upcaster(MeasuredV2, Measured, to_metres))
KINDS: tuple[type[Event], ...] = (MeasuredV1, MeasuredV2, Measured, Emptied)
CLASSES: dict[type[Event], type[Envelope]] = {event: envelope_class(event) for event in KINDS}
READ = decoder(CLASSES, Upcasters(STEPS))


def stored(event_type: str, data: dict[str, object]) -> bytes:
    """As an older Whistle wrote it, extensions of its own and all."""
    envelope = {
        "specversion": "1.0",
        "id": "7",
        "source": "/dispatch",
        "type": event_type,
        "subject": "a",
        "time": REPORTED_AT,
        "datacontenttype": "application/json",
        "recordedtime": REPORTED_AT,
        "origin": "import",
        "actor": "system:dispatch",
        "correlationid": "5",
        "causationid": "6",
        "policyversion": "liuhe@1",
        "data": data,
    }
    return orjson.dumps(envelope)


GOLDEN: dict[str, dict[str, object]] = {
    "whistle.case.measured.v1": {"level": "150 cm"},
    "whistle.case.measured.v2": {"level_centimetres": 150},
    "whistle.case.measured.v3": {"level_metres": 1.5, "by": "unknown"},
}


@pytest.mark.parametrize("event_type", GOLDEN)
def test_every_version_is_read_as_the_newest(event_type: str) -> None:
    envelope = READ(stored(event_type, GOLDEN[event_type]))
    assert envelope.data == Measured(level_metres=1.5, by="unknown")
    assert type(envelope) is CLASSES[Measured]
    assert envelope.type == "whistle.case.measured.v3"


def test_all_but_the_words_stays_as_it_was_written() -> None:
    newest = READ(stored("whistle.case.measured.v3", GOLDEN["whistle.case.measured.v3"]))
    renewed = READ(stored("whistle.case.measured.v1", GOLDEN["whistle.case.measured.v1"]))
    assert renewed.dataschema == "urn:whistle:contract:whistle.case.measured.v3"
    assert renewed.model_copy(update={"dataschema": None}) == newest


def test_what_has_one_version_is_read_as_it_is() -> None:
    assert READ(stored("whistle.case.emptied.v1", {})).data == Emptied()


def test_an_old_fact_that_breaks_its_own_contract_is_refused() -> None:
    with pytest.raises(ValidationError):
        READ(stored("whistle.case.measured.v1", {"level": 150}))


def test_what_cannot_be_said_in_the_new_words_is_refused_and_not_shown() -> None:
    with pytest.raises(ValidationError) as error:
        READ(stored("whistle.case.measured.v1", {"level": "Wang Wei's knee"}))
    assert "Wang" not in str(error.value)


@pytest.mark.parametrize(
    "steps",
    [
        (STEPS[0], STEPS[0]),
        (Upcaster(MeasuredV2, MeasuredV1, lambda _: MeasuredV1(level="1 cm")),),
        (Upcaster(MeasuredV1, Emptied, lambda _: Emptied()),),
    ],
    ids=["two ways on", "backwards", "another event"],
)
def test_a_way_that_leads_nowhere_is_refused_at_the_start(steps: tuple[Upcaster[Event, Event], ...]) -> None:
    with pytest.raises(AssertionError):
        Upcasters(steps)


def test_the_newest_version_is_known() -> None:
    upcasters = Upcasters(STEPS)
    assert {kind: upcasters.newest(kind) for kind in CLASSES} == {
        MeasuredV1: Measured,
        MeasuredV2: Measured,
        Measured: Measured,
        Emptied: Emptied,
    }
