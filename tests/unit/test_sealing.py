"""A sealed value opens with its person's key, at its spot, whole; and otherwise not at all."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events.errors import SealBroken
from libs.events.sealing import Contact, Spot, bytes_of, opened_with, person_of, sealed_for, text_of

PERSON = "p0123456789abcdefghjk"
SPOT = Spot("0123456789abcdefghjk")
KEY = X25519PrivateKey.generate()
PRIVATE = KEY.private_bytes_raw()
PUBLIC = KEY.public_key().public_bytes_raw()
SOMEBODY = Contact(
    name="王小明", phone="13800138000", mail="wang@example.com", text="晚上六点后", typed="门牌 3 号"
)

contacts = st.builds(Contact, *[st.text(st.characters(codec="utf-8"), max_size=40)] * 5)


@settings(max_examples=60, deadline=None)
@given(contacts)
def test_what_was_sealed_opens(contact: Contact) -> None:
    assert opened_with(PRIVATE, sealed_for(PERSON, PUBLIC, contact, SPOT), SPOT) == contact


def test_a_sealed_value_names_its_person_and_nothing_else() -> None:
    sealed = sealed_for(PERSON, PUBLIC, SOMEBODY, SPOT)
    assert sealed.startswith(f"sealed.v1.{PERSON}.")
    assert person_of(sealed) == PERSON
    assert sealed != sealed_for(PERSON, PUBLIC, SOMEBODY, SPOT), "the same is sealed differently each time"
    content = bytes_of(sealed.rpartition(".")[2])
    for said in (SOMEBODY.name, SOMEBODY.phone, SOMEBODY.mail, SOMEBODY.text, SOMEBODY.typed):
        assert said.encode() not in content


def test_short_and_long_names_look_alike() -> None:
    lengths = {len(sealed_for(PERSON, PUBLIC, Contact(name="王" * long), SPOT)) for long in range(1, 10)}
    assert len(lengths) == 1


def test_a_contact_shows_nothing_where_it_is_printed() -> None:
    assert repr(SOMEBODY) == str(SOMEBODY) == "Contact(...)"
    assert SOMEBODY
    assert not Contact()


def test_another_key_case_or_field_does_not_open_it() -> None:
    sealed = sealed_for(PERSON, PUBLIC, SOMEBODY, SPOT)
    other = X25519PrivateKey.generate().private_bytes_raw()
    with pytest.raises(SealBroken):
        opened_with(other, sealed, SPOT)
    with pytest.raises(SealBroken):
        opened_with(PRIVATE, sealed, Spot("1123456789abcdefghjk"))
    with pytest.raises(SealBroken):
        opened_with(PRIVATE, sealed, Spot(SPOT.case_id, "witness"))
    with pytest.raises(SealBroken):
        opened_with(PRIVATE, sealed.replace(PERSON, "p1123456789abcdefghjk"), SPOT)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_was_changed_or_cut_is_refused(data: st.DataObject) -> None:
    sealed = sealed_for(PERSON, PUBLIC, SOMEBODY, SPOT)
    place = data.draw(st.integers(0, len(sealed) - 1))
    character = data.draw(st.sampled_from("Aa0-_.~ é"))
    changed = data.draw(st.sampled_from([sealed[:place], sealed[:place] + character + sealed[place + 1 :]]))
    if changed != sealed:
        with pytest.raises(SealBroken):
            opened_with(PRIVATE, changed, SPOT)


@pytest.mark.parametrize(
    "text", ["", ".", "sealed.v1..", "sealed.v2.p.AAAA", "王小明 13800138000", "a" * 5_000]
)
def test_what_is_no_sealed_value_is_refused(text: str) -> None:
    with pytest.raises(SealBroken):
        person_of(text)


@given(st.binary(max_size=40))
def test_bytes_have_one_spelling(content: bytes) -> None:
    assert bytes_of(text_of(content)) == content


@pytest.mark.parametrize("text", ["A", "AB", "A=", "AA==", "A A", "é"])
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        bytes_of(text)
