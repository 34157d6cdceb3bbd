"""An act as a department sends it: a CloudEvents 1.0 document in structured JSON form.  Pure; never raises.

    {"specversion": "1.0", "id": "a-17", "source": "/departments/water", "type": "whistle.act.decline.v1",
     "subject": "<case id>", "time": "2026-03-02T09:15:00+08:00", "data": {"reason": "not ours"}}

Other attributes of CloudEvents, and extensions named as it says, are let through and not looked at.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from pydantic import ValidationError

from libs.events.ids import CASE_ID_CHARACTERS
from libs.events.streams import ACT_BYTES_MAX
from services.dispatch.bodies import DEPARTMENT_VERBS, DepartmentBody
from services.dispatch.inbox.faults import (
    AHEAD_SECONDS_MAX,
    BEHIND_DAYS_MAX,
    VERBS,
    Fault,
    Wrong,
    field_named,
    wrong,
    wrong_value,
)

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CASE_ID: Final = re.compile(rf"[0-9a-z]{{{CASE_ID_CHARACTERS}}}")
_TYPE: Final = re.compile(r"whistle\.act\.([a-z-]{1,40})\.v1")
_ATTRIBUTE: Final = re.compile(r"[a-z0-9]{1,20}")
_TIME: Final = re.compile(
    r"(?P<clock>\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?)(?P<zone>[Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)
_JSON_TYPES: Final = ("application/json", "application/json; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Act:
    """What a department asks for, understood."""

    department: str
    id: str
    case_id: str
    verb: str
    body: DepartmentBody
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Unclear:
    """What cannot be carried out, and as much of it as could be read."""

    department: str
    wrong: Wrong
    id: str | None = None
    case_id: str | None = None
    verb: str | None = None


def read_act(department: str, document: bytes, received_at: datetime) -> Act | Unclear:
    """The act that *department* sent, or what is wrong with it.

    The bus says who sent it and when it took it; the document cannot make it another department's, nor move it in time.
    """
    said = _object(document)
    if isinstance(said, Wrong):
        return Unclear(department, said)
    act_id, case_id, verb = _text(said, "id", _ID), _text(said, "subject", _CASE_ID), _verb(said)
    found = _first_wrong(department, said, received_at)
    body = _body(verb, said) if found is None else found
    if isinstance(body, Wrong):
        return Unclear(department, body, act_id, case_id, verb)
    assert act_id is not None
    assert case_id is not None
    assert verb is not None
    traceparent = said.get("traceparent")
    return Act(department, act_id, case_id, verb, body, traceparent if isinstance(traceparent, str) else None)


def _object(document: bytes) -> dict[str, Any] | Wrong:
    if len(document) > ACT_BYTES_MAX:
        return wrong(Fault.TOO_LARGE)
    try:
        document.decode()
    except UnicodeDecodeError:
        return wrong(Fault.NOT_UTF8)
    try:
        said = orjson.loads(document)
    except orjson.JSONDecodeError:
        return wrong(Fault.NOT_JSON)
    return said if isinstance(said, dict) else wrong(Fault.NOT_JSON)


def _first_wrong(  # noqa: PLR0911 - one for each attribute
    department: str, said: Mapping[str, Any], received_at: datetime
) -> Wrong | None:
    if said.get("specversion") != "1.0":
        return Wrong(Fault.NOT_VALID, "The specversion is 1.0.", "specversion 须为 1.0。", "specversion")
    if _text(said, "id", _ID) is None:
        return wrong(Fault.BAD_ID, "id")
    if said.get("source") != f"/departments/{department}":
        return wrong(Fault.FORGED_SOURCE, "source")
    if _text(said, "type", _TYPE) is None:
        return wrong(Fault.WRONG_TYPE, "type")
    if _verb(said) not in VERBS:
        return wrong(Fault.UNKNOWN_VERB, "type")
    if _text(said, "subject", _CASE_ID) is None:
        return wrong(Fault.BAD_CASE_ID, "subject")
    return _wrong_time(said.get("time"), received_at) or _wrong_attribute(said)


def _wrong_time(said: object, received_at: datetime) -> Wrong | None:
    match = _TIME.fullmatch(said) if isinstance(said, str) else None
    if match is not None and match["zone"] is None:
        return wrong(Fault.TIME_WITHOUT_ZONE, "time")
    try:
        moment = datetime.fromisoformat(match[0].upper()) if match else None
    except ValueError:
        moment = None
    if moment is None:
        return Wrong(
            Fault.NOT_VALID, "A time is written as RFC 3339 has it.", "时间须为 RFC 3339 格式。", "time"
        )
    # Differences of moments with zones; sums could leave the calendar.
    if moment - received_at > timedelta(seconds=AHEAD_SECONDS_MAX):
        return wrong(Fault.TIME_IN_FUTURE, "time")
    if received_at - moment > timedelta(days=BEHIND_DAYS_MAX):
        return wrong(Fault.TIME_TOO_OLD, "time")
    return None


def _wrong_attribute(said: Mapping[str, Any]) -> Wrong | None:
    for name in said:
        if not _ATTRIBUTE.fullmatch(name):
            reason = "CloudEvents has no attribute of this name.", "CloudEvents 没有此名称的属性。"
            return Wrong(Fault.UNKNOWN_FIELD, *reason, field_named(name))
    if said.get("datacontenttype", "application/json") not in _JSON_TYPES:
        reason = "The data is JSON: application/json.", "data 须为 JSON（application/json）。"
        return Wrong(Fault.NOT_VALID, *reason, "datacontenttype")
    return None


def _body(verb: str | None, said: Mapping[str, Any]) -> DepartmentBody | Wrong:
    kind = DEPARTMENT_VERBS[verb or ""]
    data = {} if said.get("data") is None else said["data"]
    if not isinstance(data, dict):
        return Wrong(Fault.NOT_VALID, "The data is an object.", "data 须为 JSON 对象。", "data")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return wrong_value(first, "data.")


def _text(said: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str | None:
    value = said.get(name)
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _verb(said: Mapping[str, Any]) -> str | None:
    match = _TYPE.fullmatch(kind) if isinstance(kind := said.get("type"), str) else None
    return match[1] if match else None
