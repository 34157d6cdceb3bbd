"""Identifiers: secret where they must be, the same again where they must be, never mixed up."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.ids import (
    case_id_of_import,
    case_id_of_tracking,
    derived_event_id,
    is_case_id,
    new_event_id,
    new_tracking_number,
    read_tracking_number,
    tracking_number_for,
)

TRACKING = re.compile(r"([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}")


def test_tracking_numbers_are_well_formed_and_do_not_repeat() -> None:
    numbers = {new_tracking_number() for _ in range(1_000)}
    assert len(numbers) == 1_000
    assert all(TRACKING.fullmatch(number) for number in numbers)


def test_the_same_request_gets_the_same_tracking_number_and_only_with_the_secret() -> None:
    first = tracking_number_for("secret", "key-0001")
    assert TRACKING.fullmatch(first)
    assert first == tracking_number_for("secret", "key-0001")
    assert first != tracking_number_for("secret", "key-0002")
    assert first != tracking_number_for("other", "key-0001")


@pytest.mark.parametrize(
    "typed",
    ["7K3M-9QXP-V2TB-HW40", " 7k3m9qxpv2tbhw40 ", "7K3M 9QXP V2TB HW4O", "7k3m-9qxp-v2tb-hw4o"],
)
def test_what_people_type_is_read(typed: str) -> None:
    assert read_tracking_number(typed) == "7K3M-9QXP-V2TB-HW40"


def test_letters_that_look_like_digits_are_read_as_digits() -> None:
    assert read_tracking_number("IiLl-OoOo-1111-0000") == "1111-0000-1111-0000"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "7K3M",
        "7K3M-9QXP-V2TB-HW4D-0",
        "7K3M-9QXP-V2TB-HW4U",
        "7K3M-9QXP-V2TB-HW4é",
        "７K3M-9QXP-V2TB-HW4D",
    ],
)
def test_what_is_no_tracking_number_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="16 letters and digits"):
        read_tracking_number(typed)


def test_a_case_id_follows_from_its_tracking_number_and_reveals_none() -> None:
    case_id = case_id_of_tracking("7K3M-9QXP-V2TB-HW4D")
    assert is_case_id(case_id)
    assert case_id == case_id_of_tracking("7K3M-9QXP-V2TB-HW4D")
    assert case_id != case_id_of_tracking("7K3M-9QXP-V2TB-HW4E")


def test_the_same_row_is_the_same_case_and_systems_are_kept_apart() -> None:
    assert is_case_id(case_id_of_import("boston311", "1"))
    assert case_id_of_import("boston311", "1") == case_id_of_import("boston311", "1")
    assert case_id_of_import("boston31", "11") != case_id_of_import("boston311", "1")


def test_stored_ids_never_change() -> None:
    assert case_id_of_import("boston311", "101000295613") == "tpxj0qs5tnca9qvematv"
    assert derived_event_id("boston311", "101000295613", "1") == "0d93a97d-5c3f-8877-9589-48b0b1e55d71"


@pytest.mark.parametrize("text", ["", "abc", "0" * 19, "0" * 21, "u" * 20, "A" * 20, "i" * 20])
def test_what_has_not_the_form_of_a_case_id(text: str) -> None:
    assert not is_case_id(text)


@given(parts=st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4))
def test_law_derived_ids_are_uuids_that_repeat(parts: list[str]) -> None:
    derived = UUID(derived_event_id(*parts))
    assert (derived.version, derived.variant) == (8, "specified in RFC 4122")
    assert str(derived) == derived_event_id(*parts)


@given(one=st.lists(st.text("ab"), max_size=3), other=st.lists(st.text("ab"), max_size=3))
def test_law_other_parts_give_another_id(one: list[str], other: list[str]) -> None:
    assert (derived_event_id(*one) == derived_event_id(*other)) == (one == other)


def test_new_event_ids_are_uuids_of_version_7_in_the_order_of_their_milliseconds() -> None:
    ids = [UUID(new_event_id()) for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert {each.version for each in ids} == {7}
    milliseconds = [each.int >> 80 for each in ids]
    assert milliseconds == sorted(milliseconds)
