"""What people read: why something is not done, and a copy of what is held of somebody."""

from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from libs.events.personal.deciding import Hold, Order, Refusal, Why

CASES_NAMED_MAX = 5


def told(refusal: Refusal) -> str:
    """Why it is not done, and what to do about it, in one line and both languages."""
    match refusal.why:
        case Why.HELD:
            return (
                f"held: {'; '.join(map(_hold, refusal.holds))}. Lift it first:"
                f" ./whistle hold lift {refusal.holds[0].target} · 处于保留状态，请先解除"
            )
        case Why.OPEN:
            named = ", ".join(refusal.cases[:CASES_NAMED_MAX])
            return (
                f"cases are open, and their reporter waits for an answer ({len(refusal.cases)}): {named}. With"
                " --even-open nobody will be told how they end; the cases themselves go on"
                " · 尚有未结案件；加 --even-open 则不再通知上报人，案件照常办理"
            )
        case Why.ERASED:
            return f"erased: {_order(refusal.order)} · 已删除"
        case Why.RETURNED:
            return "they have reported again meanwhile · 该人刚刚又有上报"
        case Why.NO_SUCH_HOLD:
            stand = "; ".join(map(_hold, refusal.holds)) or "none · 无"
            return f"there is no such hold; what stands: {stand} · 没有此保留"
        case Why.SEVERAL_HOLDS:
            return (
                f"several holds stand, name one with --number: {'; '.join(map(_hold, refusal.holds))}"
                " · 有多项保留，请用 --number 指定"
            )
        case _:
            assert_never(refusal.why)


def _hold(hold: Hold) -> str:
    return f"{hold.target} no. {hold.number} since {hold.placed_at:%Y-%m-%d} “{hold.reason}”"


def _order(order: Order | None) -> str:
    assert order is not None, "whoever was erased has an order"
    return f"ordered {order.ordered_at:%Y-%m-%d %H:%M}, receipt {order.receipt}"


def lines(copy: Mapping[str, Any]) -> Iterator[str]:
    """A copy of what is held of somebody, to be read."""
    yield f"person · 代号 {copy['person']}"
    yield f"made · 制作时间 {copy['made_at']}"
    for case in copy["cases"]:
        yield ""
        yield from _case(case)


def _case(case: Mapping[str, Any]) -> Iterator[str]:
    said, standing = case["said"], case["standing"]
    yield f"case · 案件 {case['case_id']}: {standing['name']} · {standing['name_zh']}"
    yield f"  reported · 上报 {said['reported_at']}, {said['channel']}: {said['description']}"
    for label, key in (("photos · 照片", "photos"), ("answers · 回答", "answers"), ("place · 位置", "place")):
        if said[key]:
            yield f"  {label} {_shown(said[key])}"
    for name, text in (case["contact"] or {}).items():
        yield f"  {name} · {NAMES_ZH[name]} {text}"
    for step in standing["steps"]:
        yield f"  {step['time']}  {step['name']} · {step['name_zh']}"
    for label, key in (
        ("rated · 评价", "ratings"),
        ("reopened · 要求重办", "reopenings"),
        ("told · 通知", "notices"),
    ):
        for each in case[key]:
            yield f"  {label} {_shown(each)}"
    if case["wishes"]:
        yield f"  wishes · 通知设置 {_shown(case['wishes'])}"


NAMES_ZH = {"name": "姓名", "phone": "电话", "mail": "邮箱", "text": "留言", "typed": "原文"}


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return str(value)
