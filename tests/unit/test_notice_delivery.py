"""When notices are sent, whom they may be sent to, and what outsiders see: the pure parts of deliveries."""

import json
from datetime import UTC, datetime, time, timedelta
from ipaddress import ip_address
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from libs.events.contracts import EVENTS
from libs.events.contracts.base import Event, Place
from libs.events.contracts.dispatch import Assigned, Recalled, WhistleBlown
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.log import History
from libs.events.testing.examples import EXAMPLES, entry_of
from services.notify.channels.guard import networks, permitted
from services.notify.channels.mail import MailServer, message_of
from services.notify.channels.payload import SEALED, TEXTS, public
from services.notify.channels.people import Letter
from services.notify.channels.posting import seconds_of, signed
from services.notify.channels.sms import Gateway, body_of
from services.notify.channels.words import mail_of, sms_of, subject_of, told
from services.notify.deciding.schedule import (
    ATTEMPTS_MAX,
    RETRY_AFTER_SECONDS_MAX,
    RETRY_SECONDS,
    Quiet,
    again_at,
    lane_again_at,
    welcome_at,
)
from services.notify.deciding.wishes import Language, Wishes
from services.notify.subscriptions.addresses import Address, WrongAddress
from services.notify.subscriptions.matching import concern_of, concerns, listens
from services.notify.subscriptions.model import Secret, State, Subscription
from tests.unit.specs import rule_book

NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
REPORT = EXAMPLES[CaseReported]
CODES = frozenset(
    {
        "department",
        "departments",
        "rule",
        "supporting",
        "limits",
        "lane",
        "by",
        "lead",
        "officer",
        "unit",
        "kind",
        "digest",
        "packed",  # of what nobody is sent: tests/unit/test_notify.py
    }
    | {
        "photos",
        "category",
        "channel",
        "level",
        "acts",
        "into",
        "report",
        "colour",
        "community",
        "grid",
        "worker",
    }
    | {
        "day",
        "passed",
        "missed",
        "case_id",
        "point",
        "code",
        "street",
        "time_zone",
        "located_by",
        "joined_to",
    }
    | {"system", "key", "outcome", "step", "question"}
)
"""Texts that nobody writes freely: codes, numbers and references."""


def subscription(**more: Any) -> Subscription:
    fields: dict[str, Any] = {"types": (), "departments": (), "areas": (), **more}
    return Subscription(
        id="a1", owner="integrator:meteo", url="https://example.org", secrets=(Secret(value="whsec_YQ=="),),
        made_at=NOW, after_position=10, **fields,
    )  # fmt: skip


# When.


@given(st.integers(1, ATTEMPTS_MAX - 1), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_the_next_attempt_is_later_and_never_before_the_receiver_asked(
    attempts: int, chance: float, asked: float | None
) -> None:
    found = again_at(NOW, attempts, chance, asked)
    assert found is not None
    wait = (found - NOW).total_seconds()
    assert wait >= RETRY_SECONDS[attempts - 1] * 0.9 - 1e-3
    assert wait >= min(asked or 0, RETRY_AFTER_SECONDS_MAX) - 1e-3
    assert wait <= max(RETRY_SECONDS[attempts - 1] * 1.1, RETRY_AFTER_SECONDS_MAX) + 1e-3


def test_attempts_go_on_for_days_and_then_end() -> None:
    assert timedelta(days=3) < timedelta(seconds=sum(RETRY_SECONDS)) < timedelta(days=5)
    assert again_at(NOW, ATTEMPTS_MAX, 0.5) is None


def test_a_receiver_that_fails_is_tried_at_growing_distance() -> None:
    waits = [lane_again_at(NOW, failures) - NOW for failures in range(1, 30)]
    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=5)
    assert waits[-1] < timedelta(minutes=30)


@pytest.mark.parametrize(
    ("clock", "quiet", "digest", "expected"),
    [
        ("2026-03-02T12:00+08:00", None, None, "2026-03-02T12:00+08:00"),
        ("2026-03-02T23:00+08:00", ("21:30", "07:00"), None, "2026-03-03T07:00+08:00"),
        ("2026-03-02T06:59+08:00", ("21:30", "07:00"), None, "2026-03-02T07:00+08:00"),
        ("2026-03-02T07:00+08:00", ("21:30", "07:00"), None, "2026-03-02T07:00+08:00"),
        ("2026-03-02T13:00+08:00", ("12:00", "14:00"), None, "2026-03-02T14:00+08:00"),
        ("2026-03-02T15:00+08:00", ("12:00", "12:00"), None, "2026-03-02T15:00+08:00"),
        ("2026-03-02T15:00+08:00", None, "18:00", "2026-03-02T18:00+08:00"),
        ("2026-03-02T18:01+08:00", ("21:30", "07:00"), "18:00", "2026-03-03T18:00+08:00"),
    ],
)
def test_notices_come_when_they_are_wanted(
    clock: str, quiet: tuple[str, str] | None, digest: str | None, expected: str
) -> None:
    hours = Quiet(*(time.fromisoformat(each) for each in quiet)) if quiet else None
    at = time.fromisoformat(digest) if digest else None
    found = welcome_at(datetime.fromisoformat(clock), SHANGHAI, hours, at)
    assert found == datetime.fromisoformat(expected)


MOMENTS = st.integers(0, 365 * 24 * 60).map(lambda minutes: NOW + timedelta(minutes=minutes))
CLOCKS = st.times().map(lambda each: each.replace(second=0, microsecond=0))


@given(
    MOMENTS,
    st.builds(Quiet, CLOCKS, CLOCKS),
    st.sampled_from(["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"]),
)
def test_quiet_hours_end_within_a_day_and_are_kept(moment: datetime, quiet: Quiet, zone: str) -> None:
    found = welcome_at(moment, ZoneInfo(zone), quiet, None).astimezone(UTC)
    assert timedelta() <= found - moment <= timedelta(hours=25)
    assert welcome_at(found, ZoneInfo(zone), quiet, None).astimezone(UTC) - found < timedelta(hours=2)


def test_wishes_are_times_of_the_citys_clocks() -> None:
    assert Wishes.model_validate({"digest": "18:00"}).digest == time(18)
    for wrong in ("18:00+08:00", "18:00:30", "25:00"):
        with pytest.raises(ValidationError):
            Wishes.model_validate({"digest": wrong})


# Where to.


@pytest.mark.parametrize(
    ("address", "may"),
    [
        *[
            (each, False)
            for each in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254")
        ],
        *[(each, False) for each in ("0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1")],
        *[(each, False) for each in ("::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1")],
        *[(each, False) for each in ("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::")],
        *[(each, False) for each in ("::127.0.0.1", "2001:db8::1", "198.18.0.1", "192.0.2.1")],
        *[(each, True) for each in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8")],
    ],
)
def test_only_public_addresses_are_called(address: str, may: bool) -> None:
    assert permitted(ip_address(address), ()) is may


def test_networks_of_the_citys_own_may_be_allowed() -> None:
    own = networks("10.20.0.0/16, fd00::/8")
    assert permitted(ip_address("10.20.1.1"), own)
    assert permitted(ip_address("::ffff:10.20.1.1"), own)
    assert permitted(ip_address("fd00::1"), own)
    assert not permitted(ip_address("10.21.0.1"), own)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.org/",
            "ftp://example.org",
            "example.org",
            "https://",
            "https://user:pw@example.org",
        ),
        *(
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://10.0.0.1",
            "https://example.org/#part",
            "https://[::1",
        ),
        *("file:///etc/passwd", "https://exa mple.org/"),
    ],
)
def test_an_address_that_may_not_be_called_is_refused_at_once(url: str) -> None:
    with pytest.raises(WrongAddress):
        Address((), http=False).checked(url)


def test_an_address_is_kept_in_one_spelling() -> None:
    assert Address((), http=False).checked(" HTTPS://Example.org/a b ") == "https://example.org/a%20b"
    assert Address((), http=True).checked("http://例子.测试/") == "http://xn--fsqu00a.xn--0zwm56d/"


# To whom.


def test_a_subscription_hears_of_later_facts_of_its_types_unless_it_is_disabled() -> None:
    assert listens(subscription(), Assigned.TYPE, 11)
    assert not listens(subscription(), Assigned.TYPE, 10)
    assert listens(subscription(types=(Assigned.TYPE,)), Assigned.TYPE, 11)
    assert not listens(subscription(types=(Assigned.TYPE,)), CaseFiled.TYPE, 11)
    assert listens(subscription(state=State.PAUSED), Assigned.TYPE, 11)
    assert not listens(subscription(state=State.DISABLED), Assigned.TYPE, 11)


def test_a_fact_concerns_who_it_names_and_who_has_the_case() -> None:
    place = Place(time_zone="UTC", street="hebin", community="qiaotou", grid="qiaotou-04")
    first = REPORT.model_copy(update={"place": place})
    blown = WhistleBlown(whistle=1, by="x", departments=("roads", "gas"), lead="gas", reason="")
    filed = CaseFiled(category="0101", reason="rule")
    with_water = (first, filed, Assigned(department="water"))
    assert concern_of((first,)).departments == frozenset()
    assert concern_of((*with_water, filed)).departments == {"water"}
    assert concern_of((*with_water, blown)).departments == {"roads", "gas"}
    assert concern_of((*with_water, Recalled(department="water", reason=""))).departments == {"water"}
    assert (
        concern_of((*with_water, Recalled(department="water", reason=""), filed)).departments == frozenset()
    )
    concern = concern_of(with_water)
    assert concern.areas == {"hebin", "qiaotou", "qiaotou-04"}
    assert concerns(subscription(areas=("qiaotou",), departments=("water", "gas")), concern)
    assert not concerns(subscription(areas=("qiaotou",), departments=("gas",)), concern)
    assert not concerns(subscription(areas=("liuyuan",)), concern)


# What.


def test_both_secrets_of_a_rotation_hold_until_the_old_one_ends() -> None:
    new, old = "whsec_bmV3IHNlY3JldCBvZiBzb21lYm9keQ==", "whsec_b2xkIHNlY3JldCBvZiBzb21lYm9keQ=="
    now = datetime.now(UTC)
    made = subscription().model_copy(update={"secrets": (Secret(value=old),)})
    rotated = made.rotated(new, now, timedelta(hours=24))
    both, one = rotated.secrets_at(now), rotated.secrets_at(now + timedelta(hours=25))
    assert (both, one) == ((new, old), (new,))
    headers = signed("id-1", now, '{"a":1}', both)
    for secret in both:
        assert Webhook(secret).verify(b'{"a":1}', headers) == {"a": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(b'{"a":2}', headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(b'{"a":1}', signed("id-1", now, '{"a":1}', one))


def test_every_text_of_a_fact_is_known_as_free_or_as_a_code() -> None:
    """A new field must be put into one of the two, or people's numbers may get out."""
    names = {name for event in EVENTS for name in _texts(event)}
    assert names - CODES - SEALED == TEXTS


def _texts(model: type[BaseModel]) -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        schema = str(field.annotation)
        inner = _model_in(field.annotation)
        if inner is not None:
            found |= _texts(inner)
        elif (
            "str" in schema
            or "Enum" in schema
            or "Reason" in schema
            or "Outcome" in schema
            or "Step" in schema
        ):
            found.add(name)
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in getattr(annotation, "__args__", ()) if (found := _model_in(each))), None)


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=lambda event: event.name())
def test_outsiders_see_the_fact_without_what_is_sealed(event: Event) -> None:
    document = public(entry_of(event, 3).envelope)
    assert document["type"] == event.TYPE
    assert document["data"].keys() >= event.model_dump(exclude_none=True).keys() - SEALED
    assert not {"reporter", "principal", "traceparent"} & (document.keys() | document["data"].keys())


def test_numbers_in_words_are_masked_for_outsiders() -> None:
    report = REPORT.model_copy(update={"description": "Call 13912345678", "reporter": "sealed.v1.p.x"})
    document = public(entry_of(report, 1).envelope)
    assert document["data"]["description"] == "Call ***"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("", None),
        ("soon", None),
        ("Mon, 02 Mar 2026 08:31:00 GMT", 60.0),
        ("-5", None),
        ("²", None),
    ],
)
def test_the_wait_that_a_receiver_asks_for(header: str, seconds: float | None) -> None:
    assert seconds_of(header, NOW) == seconds


def test_the_words_of_a_message() -> None:
    history = _history(Assigned(department="water"))
    words = told(history, 2, rule_book())
    assert words is not None
    both = mail_of([words], Language.BOTH, "https://city.example/wishes/k")
    assert "takes care of your report" in both
    assert "您的诉求已派遣" in both
    assert both.count("https://city.example/wishes/k") == 2
    english = mail_of([words, words], Language.EN, "")
    assert "您" not in english
    assert english.count("takes care of your report") == 2
    assert subject_of([words, words], Language.EN).endswith("(+1)")
    assert len(sms_of([words], Language.BOTH, 20)) == 20


@pytest.mark.parametrize("address", [".@.", "..@x", "a b@x", "a@x, b@x", "王@x.example"])
def test_an_address_that_is_none_is_refused_by_one_error(address: str) -> None:
    words = told(_history(Assigned(department="water")), 2, rule_book())
    assert words is not None
    server = MailServer("mail.example", 25, "none", "", "", "city@liuhe.example", "")
    with pytest.raises(ValueError, match=r"."):
        message_of(Letter(address, (words,), Language.EN, ""), "i", server, NOW)


def test_no_text_breaks_out_of_an_sms() -> None:
    words = told(_history(Assigned(department='w"}&x=1')), 2, rule_book())
    assert words is not None
    letter = Letter('+86 139"', (words,), Language.EN, "")
    gateway = Gateway("https://x", '{"to": "$phone", "text": "$text", "id": "$id"}', "application/json", ())
    assert json.loads(body_of(gateway, letter, "i"))["to"] == '+86 139"'
    form = Gateway("https://x", "to=$phone&text=$text", "application/x-www-form-urlencoded", ())
    assert body_of(form, letter, "i").count("&") == 1


def _history(event: Event) -> History:
    first = entry_of(REPORT, 1)
    return History(first.case_id, (first, entry_of(event, 2)))
