"""An item's score as a sentence, in both languages."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from libs.events.appraisal import AnyItem, Bilingual, Bonus, Given, Penalty, PerCase, Rated, Steps, sums_of
from services.evaluation.scoring.arithmetic import plain
from services.evaluation.scoring.items import Marks
from services.evaluation.scoring.results import Step

_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "floor": ("保底分", "its floor"),
    "cap": ("封顶分", "its cap"),
    "at_most": ("已达上限", "the most there is"),
    "no_band": ("未达任何档次", "no band reached"),
}
_NOTHING: Final[Mapping[str, tuple[str, str]]] = {
    "full": ("无案件，按满分计", "nothing to count: full marks"),
    "none": ("无案件，不得分", "nothing to count: no marks"),
    "left_out": ("无案件，不计此项", "nothing to count: left out"),
}


def told(item: AnyItem, found: Marks, score: Decimal | None) -> Bilingual:
    """How the score came about."""
    for rule in found.applied:
        if rule in _NOTHING:
            zh, en = _NOTHING[rule]
            return Bilingual(zh=zh, en=en)
    zh, en = _reckoned(item, {step.name: _shown(step) for step in found.steps})
    bounds = [_BOUNDS[rule] for rule in found.applied if rule in _BOUNDS]
    mark = "" if score is None else f"{score:f}"
    return Bilingual(
        zh=f"{zh}：{mark} 分{''.join(f'（{bound[0]}）' for bound in bounds)}",
        en=f"{en}: {mark}{''.join(f' ({bound[1]})' for bound in bounds)}",
    )


def _reckoned(item: AnyItem, steps: Mapping[str, str]) -> tuple[str, str]:
    formula = _formula(item)
    match item:
        case PerCase():
            return (
                f"{formula} = {steps['count']}，每件扣 {item.each:f} 分，满分 {item.points:f} 分",
                f"{formula} = {steps['count']}, each costs {item.each:f} of {item.points:f}",
            )
        case Given():
            return f"{formula} = {steps['value']}", f"{formula} = {steps['value']}"
        case Bonus():
            text = f"{formula} = {steps['count']}"
            return f"{text}，每件加 {item.each:f} 分", f"{text}, each adds {item.each:f}"
        case Penalty():
            text = f"{formula} = {steps['count']}"
            return f"{text}，每件扣 {item.each:f} 分", f"{text}, each takes {item.each:f} away"
        case _:
            return _rate(item, steps, formula)


def _rate(item: Rated, steps: Mapping[str, str], formula: str) -> tuple[str, str]:
    rate = f"{formula} = {steps['numerator']} / {steps['denominator']} = {steps['rate_percent']} %"
    zh, en = f"{rate}，满分 {item.points:f} 分", f"{rate}, of {item.points:f}"
    if isinstance(item, Steps):
        zh += f"，差 {steps['points_missing']} 个百分点，扣 {steps['lost']} 分"
        en += f", {steps['points_missing']} points short of {item.full_at:f} %, {steps['lost']} lost"
    elif "band" in steps:
        zh, en = f"{zh}，档次 {steps['band']} %", f"{en}, band {steps['band']} %"
    if item.lower_is_better:
        zh, en = f"{zh}，越低越好", f"{en}, lower is better"
    return zh, en


def _formula(item: AnyItem) -> str:
    sums = sums_of(item)
    parts = [_sum([(term.measure, term.times) for term in terms]) for terms in sums.values()]
    grouped = [f"({part})" if len(parts) > 1 and " " in part else part for part in parts]
    return " / ".join(grouped)


def _sum(terms: list[tuple[str | None, Decimal]]) -> str:
    text = ""
    for measure, times in terms:
        size = plain(abs(times))
        term = f"{size:f}" if measure is None else measure if size == 1 else f"{size:f} * {measure}"
        sign = "-" if times < 0 else "+"
        text = f"{text} {sign} {term}" if text else f"-{term}" if times < 0 else term
    return text


def _shown(step: Step) -> str:
    shown = step.value.quantize(Decimal("0.0001")) if step.value.as_tuple().exponent else step.value
    return f"{plain(shown):f}"
