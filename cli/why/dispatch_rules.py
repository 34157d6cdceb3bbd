"""The rules that a decision of dispatch went by: responsibility, limits and calendar, the ladder, the fast lane."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from cli.output import shown_time
from cli.why.decisions import Decision
from cli.why.rules import ByRule, Rule
from libs.events.contracts.base import Event, Place
from libs.events.contracts.dispatch import (
    Accepted,
    Acknowledged,
    Assigned,
    ClockPaused,
    ClockResumed,
    Declined,
    DueSoon,
    Escalated,
    EscalationReason,
    ExtensionGranted,
    ExtensionRefused,
    ExtensionRequested,
    Handled,
    ProgressNoted,
    Recalled,
    ReportedIn,
    Summoned,
    UnitSent,
    WhistleBlown,
)
from libs.events.policy import ANY, RuleBook
from libs.events.policy import Rule as Row
from libs.events.wording import REASONS, STEPS, Text
from services.dispatch import decider
from services.dispatch.decider.facts import limits_in
from services.dispatch.decider.states import Case, InHands

HAND = (Accepted, Declined, Recalled, ReportedIn, ProgressNoted, ExtensionRefused, WhistleBlown, Acknowledged)
"""Facts that somebody decided, and no rule."""


class Setting(NamedTuple):
    """What a decision of dispatch was about."""

    case: Case | None
    before: decider.State
    time: datetime
    book: RuleBook


def rules_of(decision: Decision, book: RuleBook) -> Iterator[Rule]:
    """The rules that it went by."""
    before = decider.fold_entries(decision.before.entries)
    setting = Setting(getattr(before, "case", None), before, decision.time, book)
    for event in decision.facts:
        yield from _of(event, setting)


def _of(event: Event, setting: Setting) -> Iterator[Rule]:  # noqa: C901 - a list of facts
    match event:
        case Assigned():
            yield from _assigned(event, setting)
        case Escalated():
            yield from _escalated(event, setting)
        case DueSoon(step=step):
            share, words = setting.book.time_limits.warn_at, STEPS[step]
            yield Rule(
                "time_limits/warn_at",
                Text(
                    f"whoever must {words.en} is reminded after {share:.0%} of the time",
                    f"{words.zh}时限用去 {share:.0%} 时提醒",
                ),
            )
        case Summoned():
            yield from _summoned(event, setting)
        case Handled():
            yield from _handled(event, setting)
        case ExtensionGranted() | ExtensionRequested():
            most = setting.book.extensions_max
            yield Rule(
                "time_limits/extensions_max",
                Text(f"at most {most} for each assignment", f"每次派遣最多延期 {most} 次"),
            )
            yield ByRule.HAND
        case ClockPaused(reason=reason):
            yield from _paused(reason, setting)
        case ClockResumed():
            yield _resumed(setting)
        case UnitSent():
            yield _unit(event, setting)
        case _ if isinstance(event, HAND):
            yield ByRule.HAND
        case _:
            pass


def _assigned(event: Assigned, setting: Setting) -> Iterator[Rule]:
    case, book = setting.case, setting.book
    if case is None:
        return
    yield from _responsible(event, case, book)
    category = book.category(case.category)
    if event.lane:
        lane = book.fast_lane
        yield Rule(
            f"categories/{case.category}/fast_lane",
            Text(
                f"a unit of kind {event.lane} is sent; acknowledge within {lane.acknowledge}, settle within"
                f" {lane.settle}, counted from the report",
                f"派出 {event.lane}；自上报起 {lane.acknowledge} 内受理，{lane.settle} 内办结",
            ),
        )
    elif event.limits in book.time_limits.sets:
        limits = book.limits(event.limits)
        own = category is not None and category.limits == event.limits
        origin = f"categories/{case.category}" if own else "responsibility"
        yield Rule(
            f"time_limits/{event.limits}",
            Text(
                f"named by {origin}: sign within {limits.sign}, handle within {limits.handle}",
                f"由 {origin} 指定：{limits.sign} 内签收，{limits.handle} 内处置",
            ),
        )
    yield _calendar(event, setting)


def _responsible(event: Assigned, case: Case, book: RuleBook) -> Iterator[Rule]:
    if event.rule is None:
        hand = event.reason in {"hand", "whistle"}
        kept = Text("it stays with the department that had it before", "仍由原承办部门办理")
        yield ByRule.HAND if hand else Rule("responsibility", kept)
        return
    tried = _rows(case, book)
    chosen = next((row for row in tried if row.id == event.rule), None)
    if chosen is None:
        yield Rule(f"responsibility/{event.rule}", Text("no such row in this version", "此版本没有该条"))
        return
    passed = [_passed(row, case.place) for row in tried[: tried.index(chosen)]]
    before = Text("; before it: ", "；在此之前：").then(*passed) if passed else Text("", "")
    yield Rule(
        f"responsibility/{chosen.id}",
        Text(
            f"category {chosen.category}, area {chosen.area}, priority {chosen.priority}: {chosen.lead} answers; the"
            f" first of {len(tried)} rows that fits{before.en}",
            f"类别 {chosen.category}、区域 {chosen.area}、优先级 {chosen.priority}：由 {chosen.lead} 负责；"
            f"为 {len(tried)} 条中首个符合者{before.zh}",
        ),
    )


def _rows(case: Case, book: RuleBook) -> list[Row]:
    """The rows of the category in the order in which they decide."""
    ordered = sorted(book.responsibility, key=lambda row: -row.priority)
    return [row for row in ordered if row.category in {ANY, case.category}]


def _passed(row: Row, place: Place) -> Text:
    if row.area in {ANY, place.grid, place.community, place.street}:
        return Text(f"{row.id} ({row.lead} was passed over).", f"{row.id}（{row.lead} 已退回）。")
    return Text(f"{row.id} (another area: {row.area}).", f"{row.id}（区域不符：{row.area}）。")


def _calendar(event: Assigned, setting: Setting) -> Rule:
    zone = setting.book.zone
    lapse = setting.book.city.time_lapse
    sign = shown_time(event.sign.due_at, zone) if event.sign else "-"
    start, due = shown_time(setting.time, zone), shown_time(event.due_at, zone) or "-"
    quick = f", {lapse} times as fast in this exercise" if lapse > 1 else ""
    quick_zh = f"（演练加速 {lapse} 倍）" if lapse > 1 else ""
    return Rule(
        "calendar",
        Text(
            f"from {start}: sign by {sign}, handle by {due}, by the working hours and days of {zone.key}{quick}",
            f"自 {start} 起：{sign} 前签收，{due} 前处置，按 {zone.key} 工作时间计算{quick_zh}",
        ),
    )


def _escalated(event: Escalated, setting: Setting) -> Iterator[Rule]:
    ladder, words = setting.book.ladder, REASONS[event.reason]
    past = getattr(setting.before, "past", None)
    stood = past.level if past else None
    first = ladder.first(event.reason)
    yield Rule(
        f"escalation/reasons/{event.reason}",
        Text(
            f"{words.en}: goes to {first} at least, and up from where it stands ({stood or 'nowhere yet'}):"
            f" {event.level}, where {event.acts} must act",
            f"{words.zh}：至少升至 {first}，并自现层级（{stood or '无'}）上升：{event.level}，由 {event.acts} 处理",
        ),
    )
    if event.due_at is not None:
        due = shown_time(event.due_at, setting.book.zone)
        yield Rule("calendar", Text(f"the deadline was {due}", f"时限为 {due}"))
    if event.reason is EscalationReason.LONG_OVERDUE and event.step is not None:
        steps = setting.book.escalation.overdue
        after = steps[event.step - 1].after if event.step <= len(steps) else "?"
        yield Rule(
            f"escalation/overdue/{event.step}",
            Text(f"{after} after the time to handle ran out", f"处置时限届满后 {after}"),
        )


def _summoned(event: Summoned, setting: Setting) -> Iterator[Rule]:
    limit, due = setting.book.report_in, shown_time(event.report_in.due_at, setting.book.zone)
    yield Rule(
        "time_limits/report_in",
        Text(
            f"{event.department} must report in within {limit}: by {due}",
            f"{event.department} 须在 {limit} 内报到：{due} 前",
        ),
    )
    if event.officer:
        yield Rule(
            f"departments/{event.department}/liaisons",
            Text(f"its officer there is {event.officer}", f"该处专员为 {event.officer}"),
        )


def _handled(event: Handled, setting: Setting) -> Iterator[Rule]:
    yield ByRule.HAND
    if event.verify is None or not isinstance(setting.before, InHands):
        return
    limits = limits_in(setting.before, setting.book)
    within, due = (limits.verify if limits else "?"), shown_time(event.verify.due_at, setting.book.zone)
    yield Rule(
        f"time_limits/{setting.before.limits}/verify",
        Text(
            f"somebody else must look within {within}: by {due}",
            f"须由他人在 {within} 内核查：{due} 前",
        ),
    )


def _paused(reason: str, setting: Setting) -> Iterator[Rule]:
    named = next((each.name for each in setting.book.pauses if each.code == reason), None)
    yield Rule(
        f"time_limits/pauses/{reason}",
        Text(named.en, named.zh) if named else Text("no such pause in this version", "此版本没有该停表原因"),
    )
    yield ByRule.HAND


def _resumed(setting: Setting) -> Rule:
    pause = getattr(setting.before, "pause", None)
    since = getattr(pause, "at", None)
    shown = shown_time(since, setting.book.zone) if since else "?"
    return Rule(
        "calendar",
        Text(
            f"every deadline is later by the working time since {shown}, when the clock was stopped",
            f"各时限顺延自 {shown} 停表以来的工作时间",
        ),
    )


def _unit(event: UnitSent, setting: Setting) -> Rule:
    oldest = setting.book.fast_lane.position_age_max
    return Rule(
        "fastlane",
        Text(
            f"the nearest of {event.considered} free units of kind {event.kind}: {event.distance_metres:g} m away by"
            f" a position {event.position_age_seconds:g} s old (at most {oldest}); where the others were is not in"
            " the log",
            f"{event.considered} 个空闲 {event.kind} 中最近者：{event.distance_metres:g} 米，"
            f"位置 {event.position_age_seconds:g} 秒前更新（上限 {oldest}）；其余单元位置未记入日志",
        ),
    )
