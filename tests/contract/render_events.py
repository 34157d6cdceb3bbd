"""Writes `docs/events.md` and `docs/contracts/` out of the contracts, and a golden file for each event without one.

python -m tests.contract.render_events

A golden file that is there is never touched: what was released stands in somebody's log.
"""

import inspect
import re
from itertools import groupby
from typing import Any, Final

import orjson
from pydantic import BaseModel

from cli.stack.state import repository
from libs.events.contracts import EVENTS
from libs.events.contracts.base import Event, ExternalReference, Place
from libs.events.contracts.dispatch import Brief, Deadline
from libs.events.contracts.intake import Answer
from libs.events.contracts.patrol import PatrolPoint
from libs.events.contracts.schemas import notes_of
from libs.events.envelope import Envelope, encode
from libs.events.subjects import case_subject
from libs.events.testing.examples import CASE_ID, EXAMPLES
from tests.contract import render_contracts
from tests.contract.golden import GOLDEN, examples, golden_path

PAGE: Final = repository() / "docs" / "events.md"
PARTS: Final[tuple[type[BaseModel], ...]] = (Place, Answer, Brief, Deadline, PatrolPoint, ExternalReference)
_MODULES: Final = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])")
HEAD: Final = """# Events · 事件

Every fact that can stand in the log, with its fields and an example. This page is written by
`python -m tests.contract.render_events` out of `libs/events/contracts/`; a test keeps it current.

An event is one CloudEvents 1.0 JSON document in structured mode. Once released, an event type never changes:
publishers may add optional fields, readers ignore those that they do not know, anything else is a new type with a
new version ([contracts](contracts.md)). Personal data never stands in clear in an event.
"""


def page() -> str:
    """The whole of `docs/events.md`."""
    sections = [HEAD, _overview(), _envelope()]
    for module, events in groupby(EVENTS, lambda event: event.__module__):
        sections.append(f"## Facts of {module.rpartition('.')[2]}\n")
        sections.extend(_event(event) for event in events)
    sections.append("## Parts of events\n")
    sections.extend(f"### {part.__name__}\n\n{_sentence(part)}\n\n{_fields(part)}" for part in PARTS)
    return "\n".join(sections)


def _overview() -> str:
    rows = ["| event | type | stated by | on subject |", "| --- | --- | --- | --- |"]
    for event in EVENTS:
        anchor = f"[{event.__name__}](#{event.__name__.lower()})"
        department = ".<department>" if EXAMPLES[event].addressee() else ""
        subject = f"`case.<case id>.{event.name()}.<n>{department}`"
        rows.append(f"| {anchor} | `{event.TYPE}` | {event.SOURCE.removeprefix('/')} | {subject} |")
    note = (
        "`<n>` is the case's version, from 1 without gaps. The department stands there, as a token, for live events "
        "only: it then learns the fact on `dept.<department>.<event>.<case id>`.\n"
    )
    return "\n".join([*rows, "", note])


def _envelope() -> str:
    return f"## The envelope\n\n{_fields(Envelope, leave_out=('data',))}"


def _event(event: type[Event]) -> str:
    envelope = examples()[event]
    version = list(EXAMPLES).index(event) + 1
    subject = case_subject(CASE_ID, event.name(), version, envelope.data.addressee())
    stored = orjson.dumps(orjson.loads(encode(envelope)), option=orjson.OPT_INDENT_2).decode()
    head = f"### {event.__name__}\n\n{_sentence(event)}\n\n`{event.TYPE}`\n\n{_fields(event)}"
    return f"{head}\nExample, on `{subject}`:\n\n```json\n{stored}\n```\n"


def _fields(model: type[BaseModel], leave_out: tuple[str, ...] = ()) -> str:
    notes = notes_of(model)
    rows = ["| field | type | | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        if name not in leave_out:
            need = "required" if field.is_required() else "optional"
            rows.append(
                f"| `{name}` | {_type(field.annotation)} | {need} | {notes.get(name, '').replace('|', chr(92) + '|')} |"
            )
    return "\n".join([*rows, ""])


def _type(annotation: Any) -> str:
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    text = _MODULES.sub("", text).replace("NoneType", "None")
    return f"`{text}`".replace(" | ", " or ").replace("|", "\\|")


def _sentence(model: type[BaseModel]) -> str:
    return " ".join((inspect.getdoc(model) or "").split())


def main() -> None:
    """Write what is missing or out of date."""
    PAGE.write_text(page(), encoding="utf-8")
    render_contracts.write()
    GOLDEN.mkdir(exist_ok=True)
    for event, envelope in examples().items():
        if not golden_path(event).exists():
            stored = orjson.loads(encode(envelope))
            golden_path(event).write_bytes(
                orjson.dumps(stored, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            )


if __name__ == "__main__":
    main()
