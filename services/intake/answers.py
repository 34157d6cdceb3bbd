"""What was answered to the questions of a category, checked against the rule book.  Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from libs.events.contracts.intake import Answer
from libs.events.moments import Moment
from libs.events.policy import Datatype, Question
from libs.events.problems import FieldProblem

ANSWER_CHARACTERS_MAX: Final = 1_000
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}([.][0-9]{1,30})?")
_MOMENT: Final[TypeAdapter[object]] = TypeAdapter(Moment)


class Answered(NamedTuple):
    """What was answered, in the order of the questions, and what is wrong with it."""

    answers: tuple[Answer, ...]
    wrong: tuple[FieldProblem, ...]


def read_answers(questions: Sequence[Question], given: Mapping[str, Sequence[str]]) -> Answered:
    """What was answered: *given* are the values for each code; empty ones count as not given.

    Nobody has to answer here: see `unanswered`.
    """
    said = _said(given)
    known = [each.code for each in questions if said.get(each.code)]
    answers = tuple(Answer(question=code, values=said[code]) for code in known)
    return Answered(answers, tuple(_problems(questions, said)))


def unanswered(questions: Sequence[Question], given: Mapping[str, Sequence[str]]) -> tuple[FieldProblem, ...]:
    """The questions that must be answered and are not."""
    said = _said(given)
    missing = [each.code for each in questions if each.required and not said.get(each.code)]
    return tuple(_wrong(code, "It must be answered.", "此问题必须回答。") for code in missing)


def _said(given: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {code: tuple(value for value in values if value.strip()) for code, values in given.items()}


def _problems(questions: Sequence[Question], said: Mapping[str, tuple[str, ...]]) -> Iterator[FieldProblem]:
    asked = {each.code: each for each in questions if not each.told}
    for code in said:
        if code not in asked:
            yield _wrong(code, "The service asks no such question.", "该服务没有此问题。")
    for code, question in asked.items():
        values = said.get(code, ())
        if values and (reason := _reason(question, values)):
            yield _wrong(code, *reason)


def _reason(question: Question, values: tuple[str, ...]) -> tuple[str, str] | None:
    """What is wrong with the values of one question, of which there is at least one."""
    first = values[0]
    if len(values) > 1 and question.datatype is not Datatype.MULTIPLE:
        return "It takes one value.", "只能有一个值。"
    if any(len(value) > ANSWER_CHARACTERS_MAX for value in values):
        return f"At most {ANSWER_CHARACTERS_MAX} characters.", f"最多 {ANSWER_CHARACTERS_MAX} 个字符。"
    match question.datatype:
        case Datatype.SINGLE | Datatype.MULTIPLE:
            known = ", ".join(each.code for each in question.values)
            sound = all(question.choice(value) for value in values) and len({*values}) == len(values)
            return None if sound else (f"It is of: {known}.", f"须为以下之一：{known}。")
        case Datatype.NUMBER:
            return None if _is_number(first) else ("It is no number.", "必须是数字。")
        case Datatype.DATETIME:
            zoned = "Write date, time and time zone."
            return None if _is_moment(first) else (zoned, "请写明日期、时间和时区。")
        case Datatype.STRING | Datatype.TEXT:
            return None


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip()) is not None


def _is_moment(text: str) -> bool:
    try:
        _MOMENT.validate_python(text.strip())
    except ValidationError:
        return False
    return True


def _wrong(code: str, reason: str, reason_zh: str) -> FieldProblem:
    return FieldProblem(field=f"answers.{code}", reason=reason, reason_zh=reason_zh)
