"""Where what is said on the bus: servers, addresses and who does what there, in AsyncAPI's words."""

import re
from typing import Any, Final

from libs.events.bodies import CODE_CHARACTERS_MAX
from libs.events.contracts import EVENTS
from libs.events.streams import LEDGER_STREAMS
from services.dispatch.asks import ASKS
from services.dispatch.bodies import DEPARTMENT_VERBS

SERVERS: Final[dict[str, Any]] = {
    "bus": {
        "host": "{host}:{port}",
        "protocol": "nats",
        "description": "The account of the department. `whistle status` names the address.",
        "variables": {
            "host": {"default": "127.0.0.1", "description": "A server of the city's bus."},
            "port": {"default": "4222", "description": "The port of its NATS clients."},
        },
        "security": [{"$ref": "#/components/securitySchemes/nkey"}],
    },
    "browsers": {
        "host": "{host}:{port}",
        "protocol": "wss",
        "description": "The same over WebSocket, where the city has opened that door.",
        "variables": {
            "host": {"default": "127.0.0.1", "description": "A server of the city's bus."},
            "port": {"default": "8480", "description": "The port of its WebSocket door."},
        },
        "security": [{"$ref": "#/components/securitySchemes/nkey"}],
    },
    "sensors": {
        "host": "{host}:{port}",
        "protocol": "mqtt",
        "protocolVersion": "3.1.1",
        "description": "For sensors, where the city has opened that door.",
        "variables": {
            "host": {"default": "127.0.0.1", "description": "A server of the city's bus."},
            "port": {"default": "1883", "description": "The port of its MQTT door."},
        },
        "security": [{"$ref": "#/components/securitySchemes/sensor"}],
    },
}

_ALSO_ASKED: Final = " and ".join(verb for verb in ASKS if verb not in DEPARTMENT_VERBS)
_PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "department": {
        "description": "The department's code as a subject token: letters, digits and `-` stay, every other UTF-8 "
        f"byte is `_` and two hex digits. At most {CODE_CHARACTERS_MAX} characters before that."
    },
    "case": {"description": "The case id: 20 characters `0-9a-z`."},
    "event": {
        "description": "The event's name: the part of its type before the version, of a patrol after `patrol-`.",
        "enum": [event.name() for event in EVENTS],
    },
    "version": {"description": "The number of the fact within its case, from 1 without gaps."},
    "verb": {
        "description": f"What the department does: {', '.join(DEPARTMENT_VERBS)}; asked, {_ALSO_ASKED} too."
    },
    "channel": {"description": "How somebody is told: `webhook`, `mail` or `sms`."},
    "sensor": {"description": "The sensor's name as a token, as departments' codes are."},
    "stream": {"description": "The sealed stream.", "enum": list(LEDGER_STREAMS)},
    "receiver": {"description": "Who is told, as a subject token."},
}

CHANNELS: Final[dict[str, dict[str, Any]]] = {
    "departmentFacts": {
        "address": "dept.{department}.{event}.{case}",
        "title": "Facts for one department · 部门事件",
        "description": "Kept in the stream `DEPARTMENTS` for 90 days, and read by the durable consumer that bears the "
        "department's token: in the order of the log, at least once, until acknowledged. Only the department itself "
        "may read it.",
    },
    "departmentFactsAtOnce": {
        "address": "live.{department}.{event}.{case}",
        "title": "The same facts, at once · 部门事件（即时）",
        "description": "Sent on by the server as soon as a fact stands in the log, to whoever listens, and not kept: "
        "the same fact comes in `departmentFacts`. The header `Whistle-After` has the `id` of the fact that the "
        "department was told of the same case before, or `nothing`; without it, or after another one, wait for "
        "`departmentFacts`.",
    },
    "departmentRefusals": {
        "address": "dept.{department}.refused.{case}",
        "title": "Acts that were refused · 被拒绝的操作",
        "description": "Comes through the same consumer as the department's facts. `causationid` is the act's `id`; "
        "`{case}` is `none` when the act was about no case that could be read.",
    },
    "departmentActs": {
        "address": "act.{department}.{verb}",
        "title": "Acts, durable · 部门操作（持久）",
        "description": "Publish over JetStream. The PubAck says: received, and will not be lost. What came of it comes "
        "back as a fact, or as a refusal. Acts of one department about one case are carried out in the order in which "
        "they were sent; an `id` that was carried out before adds nothing.",
    },
    "departmentAsks": {
        "address": "ask.{department}.{verb}",
        "title": "The same acts, answered at once; and reading again · 部门操作（即时应答）、重新读取",
        "description": "Request and reply. Without an answer nothing is known: ask again, a repetition adds nothing. "
        "`unit` says where a unit is, `replay` gives what the department was told once more. "
        "The reply subject is below the department's own inbox prefix, `_INBOX_{department}`.",
    },
    "answers": {
        "address": None,
        "title": "Answers · 应答",
        "description": "On the reply subject of the request.",
    },
    "caseFacts": {
        "address": "case.{case}.{event}.{version}",
        "title": "The log of record · 案件日志",
        "description": "Every fact about every case. Whistle's own services alone read and write it (account `LOG`).",
    },
    "caseFactsOfADepartment": {
        "address": "case.{case}.{event}.{version}.{department}",
        "title": "The log of record, where a department learns the fact · 案件日志（告知部门）",
        "description": "The server copies it to `dept.{department}.{event}.{case}`. For Whistle's own services alone.",
    },
    "notices": {
        "address": "notice.{case}.{channel}.{version}.{receiver}",
        "title": "What was told to whom · 通知记录",
        "description": "Every attempt to tell somebody of the case's fact number `{version}`. For Whistle's own "
        "services alone; `whistle notices CASE` shows it.",
    },
    "checkpoints": {
        "address": "ledger.{stream}",
        "title": "Signed checkpoints of the log · 日志签名检查点",
        "description": "Kept for good in the stream `LEDGER` (account `LOG`), each consistent with all before it. "
        "Others read the newest over HTTP of the ledger, `GET /checkpoints/{stream}`.",
    },
    "sensorReports": {
        "address": "sensor/{sensor}/report",
        "title": "Reports of sensors · 传感器上报",
        "description": "QoS 1; on the bus it is the subject `sensor.{sensor}.report`. Send again, with the same `id`, "
        "until the answer is heard: the report becomes a case once.",
    },
    "sensorAnswers": {
        "address": "sensor/{sensor}/answer",
        "title": "Answers to sensors · 对传感器的应答",
        "description": "Subscribe before the report is sent.",
    },
}


def _operation(action: str, channel: str, summary: str, **more: Any) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary, **more}


OPERATIONS: Final[dict[str, dict[str, Any]]] = {
    "tellDepartment": _operation("send", "departmentFacts", "A department learns what concerns its cases."),
    "tellDepartmentAtOnce": _operation(
        "send", "departmentFactsAtOnce", "A department learns at once what concerns its cases."
    ),
    "refuseAct": _operation(
        "send", "departmentRefusals", "A department learns why its act was not carried out."
    ),
    "takeAct": _operation("receive", "departmentActs", "A department does something, and goes on."),
    "answerAsk": _operation(
        "receive",
        "departmentAsks",
        "A department does something, and waits for the answer.",
        reply={"channel": {"$ref": "#/channels/answers"}},
    ),
    "recordFact": _operation("send", "caseFacts", "A service states a fact."),
    "recordFactForADepartment": _operation(
        "send", "caseFactsOfADepartment", "A service states a fact that a department must learn."
    ),
    "recordNotice": _operation("send", "notices", "Notify records whom it told what."),
    "showCheckpoint": _operation("send", "checkpoints", "The ledger shows what it signed."),
    "takeSensorReport": _operation("receive", "sensorReports", "A sensor reports a problem."),
    "answerSensor": _operation("send", "sensorAnswers", "A sensor hears what became of its report."),
}


def servers_of(name: str) -> list[dict[str, str]]:
    """The servers at which a channel is reached."""
    servers = ("sensors",) if name.startswith("sensor") else ("bus", "browsers")
    return [{"$ref": f"#/servers/{server}"} for server in servers]


def parameters_in(address: str) -> dict[str, dict[str, Any]]:
    """What stands in braces in an address."""
    return {name: _PARAMETERS[name] for name in re.findall(r"\{(\w+)\}", address)}
