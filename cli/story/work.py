"""What is done about a case, told in sentences: dispatch and departments."""

from typing import Final

from cli.story.names import Names, note_text, photos_text
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Acknowledged,
    Assigned,
    ClockPaused,
    ClockResumed,
    Declined,
    DueSoon,
    Escalated,
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
from libs.events.contracts.evaluation import CardIssued
from libs.events.wording import COLOURS, NOTHING, REASONS, STEPS, Text

BY_REASON: Final = {
    "rule": Text("by the rule book", "按责任清单"),
    "returned": Text("since it was returned", "因退回改派"),
    "hand": Text("by hand", "人工指定"),
    "whistle": Text("as the lead of the whistle", "作为吹哨牵头部门"),
    "adopted": Text("as it was taken over", "转入办理"),
    "reopened": Text("as it was reopened", "重新立案"),
}


class Work(Names):
    """Sentences about work."""

    def dispatch(self, event: Event, who: Text) -> Text | None:  # noqa: PLR0911 - one sentence for each fact
        """Who is sent, and who is called."""
        match event:
            case Assigned():
                return self._assigned(event, who)
            case Recalled():
                name = self.department(event.department)
                return Text(
                    f"{who.en} took it from {name.en}: {event.reason}",
                    f"{who.zh}从{name.zh}收回：{event.reason}",
                )
            case WhistleBlown():
                names, lead, by = (
                    self.departments(event.departments),
                    self.department(event.lead),
                    self.who(event.by),
                )
                return Text(
                    f"{by.en} blew the whistle for {names.en}; {lead.en} leads: {event.reason}",
                    f"{by.zh}吹哨，召集{names.zh}，{lead.zh}牵头：{event.reason}",
                )
            case Summoned():
                name = self.department(event.department)
                officer = Text(f" ({event.officer})", f"（{event.officer}）") if event.officer else NOTHING
                due = self.time(event.report_in.due_at)
                return Text(
                    f"{name.en}{officer.en} was called to report in until {due}.",
                    f"{name.zh}{officer.zh}须在 {due} 前报到。",
                )
            case ReportedIn():
                name, note = self.department(event.department), note_text(event.note)
                return Text(
                    f"{name.en} reported in: {event.officer}{note.en}.",
                    f"{name.zh}报到：{event.officer}{note.zh}。",
                )
            case Acknowledged():
                by = self.who(event.by)
                return Text(f"{by.en} has seen it.", f"{by.zh}已受理。")
            case UnitSent():
                name, metres = self.department(event.department), f"{event.distance_metres:,.0f}"
                return Text(
                    f"{name.en} sent unit {event.unit}, {metres} m away, the nearest of {event.considered}.",
                    f"{name.zh}派出 {event.unit}，相距 {metres} 米，为 {event.considered} 个空闲力量中最近者。",
                )
            case _:
                return None

    def _assigned(self, event: Assigned, who: Text) -> Text:
        name, by = self.department(event.department), BY_REASON.get(event.reason, NOTHING)
        sign = self.until(event.sign.due_at) if event.sign else NOTHING
        due = self.until(event.due_at)
        parts = [
            Text(f"sign for it{sign.en}", f"签收{sign.zh}") if event.sign else NOTHING,
            Text(f"handle it{due.en}", f"处置{due.zh}") if event.due_at else NOTHING,
        ]
        given = [part for part in parts if part.en]
        limits = Text("; ".join(part.en for part in given), "；".join(part.zh for part in given))
        colon = Text(f": {limits.en}", f"：{limits.zh}") if given else NOTHING
        return Text(
            f"{who.en} dispatched it to {name.en} {by.en}".rstrip() + f"{colon.en}.",
            f"{who.zh}{by.zh}派遣至{name.zh}{colon.zh}。",
        )

    def work(self, event: Event, who: Text) -> Text | None:  # noqa: PLR0911 - one sentence for each fact
        """What a department does, and the time that it is given."""
        match event:
            case Accepted():
                return Text(f"{who.en} signed for it (green light).", f"{who.zh}签收（亮绿灯）。")
            case Declined():
                return Text(
                    f"{who.en} returned it ({event.count}): {event.reason}",
                    f"{who.zh}退回（第 {event.count} 次）：{event.reason}",
                )
            case ProgressNoted():
                photos = photos_text(event.photos)
                return Text(
                    f"{who.en} tells how far it is: {event.note}{photos.en}.",
                    f"{who.zh}反馈进展：{event.note}{photos.zh}。",
                )
            case ExtensionRequested():
                until = self.time(event.until)
                return Text(
                    f"{who.en} asks for more time, until {until}: {event.reason}",
                    f"{who.zh}申请延期至 {until}：{event.reason}",
                )
            case ExtensionGranted():
                until, note = self.time(event.due_at), note_text(event.note)
                return Text(
                    f"{who.en} gave more time, until {until}{note.en}.",
                    f"{who.zh}批准延期至 {until}{note.zh}。",
                )
            case ExtensionRefused():
                return Text(
                    f"{who.en} gave no more time: {event.reason}", f"{who.zh}未批准延期：{event.reason}"
                )
            case ClockPaused():
                reason, note = self.pause(event.reason), note_text(event.note)
                return Text(
                    f"{who.en} stopped the clock: {reason.en}{note.en}.",
                    f"{who.zh}暂停计时：{reason.zh}{note.zh}。",
                )
            case ClockResumed():
                due = self.until(event.due_at)
                return Text(f"{who.en} let the clock run on{due.en}.", f"{who.zh}恢复计时{due.zh}。")
            case Handled():
                photos, note = photos_text(event.photos), note_text(event.note)
                return Text(
                    f"{who.en} reports it handled{note.en}{photos.en}.",
                    f"{who.zh}处置完成{note.zh}{photos.zh}。",
                )
            case _:
                return None

    def watch(self, event: Event, who: Text) -> Text | None:  # noqa: ARG002 - asked like the others
        """What happens when time runs out."""
        match event:
            case DueSoon():
                name = (
                    self.department(event.department) if event.department else Text("the centre", "指挥中心")
                )
                step, due = STEPS[event.step], self.time(event.due_at)
                return Text(
                    f"{name.en} was reminded: {step.en} until {due}.",
                    f"提醒{name.zh}：请在 {due} 前{step.zh}。",
                )
            case Escalated():
                reason, acts, note = REASONS[event.reason], self.who(event.acts), note_text(event.note)
                return Text(
                    f"It went up, {reason.en}: {acts.en} must act now{note.en}.",
                    f"因{reason.zh}升级，现由{acts.zh}负责{note.zh}。",
                )
            case CardIssued():
                name = self.department(event.department)
                colour = COLOURS.get(event.colour, Text(event.colour, event.colour))
                return Text(f"{name.en} was shown a {colour.en} card.", f"{name.zh}被亮{colour.zh}牌。")
            case _:
                return None
