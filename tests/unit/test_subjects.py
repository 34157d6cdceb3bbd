"""Names and subjects: every name has a token of its own, and every subject can be taken apart again."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.subjects import (
    act_sender,
    act_subject,
    ask_subject,
    case_filter,
    case_id_in,
    case_subject,
    case_version_filters,
    department_inbox,
    name_of,
    parse_case_subject,
    refused_subject,
    sensed_subject,
    sensor_answer_subject,
    sensor_in,
    token,
)

NAMES = st.text(st.characters(codec="utf-8"), min_size=1)  # lone surrogates are no text in UTF-8


@given(name=NAMES)
def test_law_a_token_is_safe_in_a_subject_and_leads_back_to_its_name(name: str) -> None:
    encoded = token(name)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", encoded)
    assert name_of(encoded) == name


@given(one=NAMES, other=NAMES)
def test_law_two_names_never_share_a_token(one: str, other: str) -> None:
    assert (token(one) == token(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("water", "water"),
        ("No Q", "No_20Q"),
        ("a.b", "a_2eb"),
        ("_20", "_5f20"),
        ("*", "_2a"),
        ("环卫", "_e7_8e_af_e5_8d_ab"),
    ],
)
def test_tokens_stand_in_stored_subjects_and_never_change(name: str, encoded: str) -> None:
    assert token(name) == encoded


def test_an_empty_name_has_no_token() -> None:
    with pytest.raises(ValueError, match="empty"):
        token("")


@pytest.mark.parametrize("encoded", ["", "No Q", "_2A", "_41", "_zz", "_", "a.b", "_ff", "水"])
def test_what_no_name_would_give_is_no_token(encoded: str) -> None:
    with pytest.raises(ValueError):
        name_of(encoded)


@pytest.mark.parametrize("department", [None, "No Q", "water"])
def test_a_subject_can_be_taken_apart(department: str | None) -> None:
    subject = case_subject("abc", "assigned", 12, department)
    assert parse_case_subject(subject) == ("abc", "assigned", 12)
    assert case_id_in(subject) == "abc"
    assert subject == "case.abc.assigned.12" + ("" if department is None else f".{token(department)}")


@pytest.mark.parametrize(
    "subject", ["case", "case.a", "case.a.b", "case.a.b.c", "case.a.b.1.d.e", "dept.a.b.1", "case.a.b.", ""]
)
def test_what_is_no_subject_of_a_case_is_refused(subject: str) -> None:
    with pytest.raises(ValueError):
        parse_case_subject(subject)


def test_the_filters_spell_a_case_one_way() -> None:
    assert case_filter("abc") == "case.abc.>"
    assert case_version_filters("abc", 3) == ("case.abc.*.3", "case.abc.*.3.*")


def test_a_department_is_asked_and_answered_below_its_token() -> None:
    assert ask_subject("No Q", "accept") == "ask.No_20Q.accept"
    assert department_inbox("No Q").endswith("No_20Q")


@pytest.mark.parametrize("department", ["water", "No Q"])
def test_the_sender_of_an_act_stands_in_its_subject(department: str) -> None:
    subject, _, verb = act_subject(department, "accept").rpartition(".")
    assert verb == "accept"
    assert act_sender(subject) == department  # as the stream keeps it: without the verb
    assert refused_subject(department, "abc") == f"dept.{token(department)}.refused.abc"


@pytest.mark.parametrize("subject", ["act", "act.", "act.water.accept", "dept.water", "act._2A"])
def test_what_is_no_subject_of_an_act_is_refused(subject: str) -> None:
    with pytest.raises(ValueError):
        act_sender(subject)


@pytest.mark.parametrize("sensor", ["level-7", "水位 7"])
def test_the_sensor_of_a_report_stands_in_its_subject(sensor: str) -> None:
    assert sensor_in(sensed_subject(sensor)) == sensor_in(sensor_answer_subject(sensor)) == sensor


@pytest.mark.parametrize(
    "subject", ["sensor", "sensor.a", "sensor.a.report.x", "dept.a.report", "sensor._2A.report"]
)
def test_what_is_no_subject_of_a_sensor_is_refused(subject: str) -> None:
    with pytest.raises(ValueError):
        sensor_in(subject)
