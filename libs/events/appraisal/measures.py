"""Measures: what evaluation counts, and how counts are added up."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from libs.events.appraisal.naming import wrong

MEASURES: Final[Mapping[str, str]] = {
    "reported": "上报 reports that came in",
    "filed": "立案 cases filed",
    "assigned": "派遣 assignments to the department",
    "due": "应结案 cases that had to be closed by the end of the period",
    "closed": "结案 closed, of those due",
    "closed_in_time": "按期结案 closed in time, of those due",
    "overdue": "超时 past their time and still open at the end of the period",
    "signed": "签收 assignments signed for",
    "signed_in_time": "按时签收 assignments signed for in time",
    "handled": "处置 handlings reported",
    "reworked": "返工 handlings that verification sent back",
    "returned": "退回 assignments that the department returned",
    "extended": "延期 extensions granted",
    "reopened": "重办 cases reopened",
    "responses_due": "应响应 assignments whose response time ended by the end of the period",
    "responded": "响应 of those, signed for within that time",
    "rated": "回访 cases that the reporter rated",
    "reached": "已联系 of those, the reporter says somebody got in touch",
    "solved": "已解决 of those, the reporter says it is solved",
    "satisfied": "满意 of those, stars that count as satisfied",
    "whistles": "吹哨 whistles blown",
    "summoned": "被吹哨 summons to report in",
    "reported_in": "报到 summons that were followed",
    "reported_in_time": "按时报到 summons that were followed in time",
    "upward_earned": "下考上得分 marks that the communities gave",
    "upward_possible": "下考上满分 marks that they could have given; 0 when nobody scored",
    "yellow_cards": "黄牌 yellow cards",
    "red_cards": "红牌 red cards",
}
"""What evaluation counts for each subject and period; a scheme of the rule book may use no other name."""

_TERM: Final = re.compile(r"([+-]?)\s*(\d+(?:\.\d+)?)?\s*\*?\s*([a-z][a-z0-9_]*)?")


class Model(BaseModel):
    """What all parts of a scheme are: unchangeable, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bilingual(Model):
    """What people read, in both languages."""

    zh: str
    en: str


class Term(Model):
    """A measure, so many times; without a measure, the number itself.

    In a file also short: `closed`, `-withdrawn`, `2 * red_cards`, `100`.
    """

    measure: str | None = None
    times: Decimal = Decimal(1)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            return value
        found = _TERM.fullmatch(str(value).strip())
        if found is None or not (found[2] or found[3]):
            raise wrong(
                f"{value!r} is no term: write a measure, a number, or a number * a measure,"
                " with a minus before it to take it away",
                f"{value!r} 不是有效的项：请写指标、数字或“数字 * 指标”，前加负号表示减去",
            )
        return {"measure": found[3], "times": f"{found[1]}{found[2] or 1}"}


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Sum = Annotated[tuple[Term, ...], BeforeValidator(_listed), Field(min_length=1)]
"""Terms added together; in a file a single one needs no list."""
