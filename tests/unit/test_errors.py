"""The tree of exceptions: all below one root, and the drawing at the top of the file is true."""

import inspect
import re

import pytest

from libs.events import errors
from libs.events.errors import CaseUnreadable, LogRefused, VersionConflict, WhistleError
from libs.events.jetstream import NotNow, Refused, Unknown, as_library_error
from libs.events.jetstream.client import Code

DRAWN = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
DEFINED = {
    name: each for name, each in vars(errors).items() if inspect.isclass(each) and each is not WhistleError
}


def test_the_tree_is_drawn_as_it_is() -> None:
    assert set(DRAWN) == set(DEFINED)


@pytest.mark.parametrize("name", DRAWN)
def test_every_exception_is_one_of_ours_and_says_when(name: str) -> None:
    assert issubclass(DEFINED[name], WhistleError)
    assert inspect.getdoc(DEFINED[name]) != inspect.getdoc(WhistleError)


def test_exceptions_say_where() -> None:
    assert str(VersionConflict("abc", 7)) == "case abc has moved on to position 7"
    assert str(CaseUnreadable("abc", 7, "no such event")) == "case abc, log position 7: no such event"
    assert str(LogRefused(10_054, "too large")) == "the log refused: too large (10054)"


def test_answers_of_the_server_become_ours() -> None:
    refused = as_library_error(Refused(Code.TOO_LARGE, "too large"))
    assert isinstance(refused, LogRefused)
    assert refused.code == Code.TOO_LARGE
    assert isinstance(as_library_error(Unknown("timeout")), errors.LogUnavailable)
    assert str(as_library_error(NotNow())) == "NotNow"
