"""What identifies a person is masked in free text; what only looks like it stays."""

from datetime import date
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events.ids import case_id_of_tracking, new_event_id, new_tracking_number
from libs.events.masking import MASK, masked, masked_in

PRIVATE: Final = [
    "13812345678",
    "138 1234 5678",
    "138-1234-5678",
    "138 - 1234 - 5678",
    "138.1234.5678",
    "138 12345678",
    "1381234 5678",
    "1381 234 5678",
    "13812 345678",
    "1 3 8 1 2 3 4 5 6 7 8",
    "+86 138 1234 5678",
    "(+86)13812345678",
    "0086-138-1234-5678",
    "8613812345678",
    "１３８１２３４５６７８",
    "138　1234　5678",
    "138–1234–5678",
    "010-82345678",
    "01082345678",
    "(0755)82345678",
    "（0755）8234 5678",
    "0512-6234567",
    "+86-10-82345678",
    "+86 (0)755 8234 5678",
    "+1 (617) 555-0123",
    "+852 2345 6789",
    "11010519491231002X",
    "11010519491231002x",
    "110105 19491231 002X",
    "110105-1949-12-31-002X",
    "110105491231002",
    "zhang.san+12345@mail.example.com",
    "zhang＠example.cn",
]
KEPT: Final = [
    "2026-05-12",
    "2026-05-12 08:30:00",
    "20260512",
    "2026年5月12日",
    "202605120000123",
    "20260512000012345X",
    "SF1381234567890",
    "SF13812345678",
    "13812345678A",
    "138123456789",
    "0123456789",
    "101000295613",
    "1381-2345-6789-0123",
    "7K3M-1381-2345-678Z",
    "01381234567800000000",
    "0197a8b2-1381-7234-8123-138123456789",
    "3bd2c7f4-0662-8597-8349-d04509e801aa",
    "01a20575-41d3-7df5-8164-061273547556",
    "(09574888-1793-8ecd-a28e-752dcf5e75d2)",
    "0755-2345-6789-0123",
    "12-3-401",
    "15-3-1201 2026",
    "88弄102号1501室",
    "153 20260512",
    "电话 20260512",
    "+3 5 6 7 8",
    "130.12345678, 45.12345678",
    "400-123-4567",
    "12345",
    "K12+34567890",
    "110105194912310021",  # its last digit would have to be X
    "991105194912310020",  # no such province
    "110105194913310025",  # no such month
    "110105491331002",
    "@all, 3@2",
    "zhang@localhost",
]


@pytest.mark.parametrize("private", PRIVATE)
@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("请打", "，谢谢"), ("a, ", " or so"), ("号", " 3号楼")]
)
def test_what_identifies_a_person_is_masked_and_nothing_else(private: str, before: str, after: str) -> None:
    assert masked(before + private + after) == before + MASK + after


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize(("before", "after"), [("", ""), ("编号", "，谢谢")])
def test_what_only_looks_like_it_stays(kept: str, before: str, after: str) -> None:
    assert masked(before + kept + after) == before + kept + after


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tel13812345678 wx:13912345678", "tel*** wx:***"),
        ("电话:82345678，电话号码是8234 567", "电话:***，电话号码是8234 567"),
        ("tel. 8234567", "tel. ***"),
        ("13812345678/13912345678、138-1234-5678-138-1234-5678", "***/***、***-***"),
        ("张三 110105194912310021 电话13800138000", "张三 110105194912310021 电话***"),
    ],
)
def test_several_in_one_text(text: str, said: str) -> None:
    assert masked(text) == said


def test_what_was_taken_out_can_be_told() -> None:
    text = "王先生１３８ 1234 5678，wang@example.cn；12-3-401"
    assert masked_in(text) == ("wang@example.cn", "138 1234 5678")


def test_numbers_of_our_own_stay() -> None:
    for _ in range(500):
        tracking = new_tracking_number()
        text = f"{tracking} {case_id_of_tracking(tracking)} {new_event_id()}"
        assert masked(text) == text


mobiles = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
mails = st.from_regex(r"[a-z][a-z0-9.]{0,20}@([a-z0-9]{1,10}\.){1,3}(com|cn|org)", fullmatch=True)
words = st.text(st.sampled_from("请联系井盖坏了，。；！? ()（）:"), max_size=8)


@st.composite
def identities(draw: st.DrawFn) -> str:
    """Identity numbers of made-up people, with their check digit by the sum of ISO 7064: 1 modulo 11."""
    region = draw(st.sampled_from(["110105", "310101", "440300", "650102", "150621"]))
    birthday = draw(st.dates(date(1900, 1, 1), date(2030, 12, 31)))
    number = f"{region}{birthday:%Y%m%d}{draw(st.integers(0, 999)):03}"
    rest = sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(number)) % 11
    check = (1 - rest) % 11
    return number + ("X" if check == 10 else str(check))


@settings(max_examples=150, deadline=None)
@given(private=mobiles | mails | identities(), before=words, after=words)
def test_no_number_or_address_comes_through(private: str, before: str, after: str) -> None:
    assert masked(f"{before}；{private}；{after}") == f"{before}；{MASK}；{after}"


pieces = st.sampled_from(
    [*"0123456789", "138", "1234", "5678", "010", "86", "+", "(", ")", "-", " ", ".", "@", "a.cn"]
)
near_numbers = st.lists(
    pieces | st.sampled_from([*PRIVATE, *KEPT, "电话", "tel", "X", "１"]), max_size=12
).map("".join)


@settings(max_examples=400, deadline=None)
@given(near_numbers)
def test_masking_again_adds_nothing(text: str) -> None:
    once = masked(text)
    assert masked(once) == once


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_masked_and_words_stay(text: str) -> None:
    assert masked(text.replace("@", "")) == text.replace("@", "") or sum(map(str.isdecimal, text)) >= 7


@settings(max_examples=200, deadline=None)
@given(st.dates(), st.integers(0, 999), st.integers(0, 99), st.integers(0, 3999))
def test_dates_and_house_numbers_stay(day: date, number: int, floor: int, room: int) -> None:
    for text in (
        day.isoformat(),
        f"{day:%Y%m%d}",
        f"{day:%Y/%m/%d}",
        f"{number}-{floor}-{room}",
        f"{number}号{room}室",
    ):
        assert masked(f"{text} 损坏") == f"{text} 损坏"
