"""A case told as people tell it: each fact is one sentence, in English and Chinese, and says who acted."""

from cli.story.ends import Ends
from cli.story.names import photos_text
from cli.story.work import Work
from libs.events.contracts.base import Event
from libs.events.contracts.intake import (
    CaseAdopted,
    CaseFiled,
    CaseMerged,
    CaseRejected,
    CaseReported,
    ReportJoined,
)
from libs.events.envelope import Entry
from libs.events.wording import Text


class Narrator(Work, Ends):
    """Tells facts with the names of a rule book (codes without one) and the clocks of a place."""

    def sentence(self, entry: Entry) -> Text:
        """The fact as one sentence."""
        event, who = entry.event, self.who(entry.envelope.actor)
        told = (tell(event, who) for tell in (self.intake, self.dispatch, self.work, self.watch, self.end))
        text = next((each for each in told if each is not None), None)
        assert text is not None, f"every fact has its sentence: {entry.name}"
        return Text(text.en[:1].upper() + text.en[1:], text.zh)

    def intake(self, event: Event, who: Text) -> Text | None:  # noqa: PLR0911 - one sentence for each fact
        """What was reported, and whether it is a case."""
        match event:
            case CaseReported():
                what, where, photos = (
                    self.category(event.category),
                    self.where(event.place),
                    photos_text(event.photos),
                )
                return Text(
                    f"{who.en} reported {what.en}, {where.en}: “{event.description}”{photos.en}.",
                    f"{who.zh}上报{what.zh}，{where.zh}：“{event.description}”{photos.zh}。",
                )
            case CaseFiled():
                return self._filed(event, who)
            case CaseRejected():
                return Text(
                    f"{who.en} did not accept it as a case: {event.reason}",
                    f"{who.zh}不予立案：{event.reason}",
                )
            case CaseMerged(into=into, distance_metres=metres, similarity=alike):
                if metres is None or alike is None:
                    return Text(f"{who.en} joined it to case {into}.", f"{who.zh}将其并入案件 {into}。")
                return Text(
                    f"It tells of case {into} ({metres:.0f} m away, {alike:.0%} alike) and was joined to it.",
                    f"与案件 {into} 重复（相距 {metres:.0f} 米，相似度 {alike:.0%}），已并入。",
                )
            case ReportJoined():
                return Text(
                    f"Another report of the same problem was joined to it: {event.report}.",
                    f"同一问题的另一诉求 {event.report} 已并入本案。",
                )
            case CaseAdopted():
                what = self.category(event.category)
                return Text(
                    f"{who.en} took it into live work as {what.en}.",
                    f"{who.zh}将其转入办理，类别：{what.zh}。",
                )
            case _:
                return None

    def _filed(self, event: CaseFiled, who: Text) -> Text:
        what = self.category(event.category)
        match event.reason:
            case "rule":
                return Text(
                    f"Filed as a case at once, as the rule book says: {what.en}.",
                    f"按规则直接立案：{what.zh}。",
                )
            case "trusted":
                return Text(
                    f"Filed as a case at once, since the source is trusted: {what.en}.",
                    f"可信来源，直接立案：{what.zh}。",
                )
            case "specialist":
                return Text(
                    f"{who.en} verified it and filed it as a case: {what.en}.",
                    f"{who.zh}核实并立案：{what.zh}。",
                )
            case _:
                return Text(
                    f"{who.en} states that it is a case: {what.en}.", f"{who.zh}记录为立案：{what.zh}。"
                )
