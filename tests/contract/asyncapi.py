"""The AsyncAPI 3 document of the bus, put together from the contracts."""

import tomllib
from typing import Any, Final

from pydantic import BaseModel, create_model

from cli.stack.state import repository
from libs.events.bodies import CaseId
from libs.events.contracts import EVENTS
from libs.events.contracts.deprecation import DEPRECATIONS
from libs.events.contracts.schemas import shared_schemas
from libs.events.testing.examples import EXAMPLES
from services.dispatch.asks import ASKS
from services.dispatch.bodies import DEPARTMENT_VERBS
from tests.contract.channels import CHANNELS, OPERATIONS, SERVERS, parameters_in, servers_of
from tests.contract.golden import TOLD
from tests.contract.messages import ANSWER, SCHEMAS, ask_name, messages, refusals
from tests.contract.published import (
    ENVELOPE,
    SENSOR_REPORT,
    act_type,
    bare_envelope,
    contracts,
    with_deprecations,
)
from tests.contract.wire import NOTICE, SEALED, SENSOR_ANSWER, WRITTEN

DESCRIPTION: Final = """\
What Whistle (吹哨) and the systems around it say to each other over NATS. Facts and acts are CloudEvents 1.0 in \
structured JSON mode; `dataschema` names the JSON Schema of `data`, which stands beside this document as \
`<type>.json`. How to begin: docs/integrate.md. Which changes are possible: docs/contracts.md."""


def document() -> dict[str, Any]:
    """The whole document; every reference in it leads to a place in it."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:whistle:bus",
        "info": {
            "title": "Whistle bus · 吹哨总线",
            "version": _version(),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": SERVERS,
        "channels": {name: _channel(name) for name in CHANNELS},
        "operations": OPERATIONS,
        "components": {
            "messages": messages(),
            "schemas": _schemas(),
            "securitySchemes": {
                "nkey": {
                    "type": "asymmetricEncryption",
                    "description": "The department's own nkey (Ed25519).",
                },
                "sensor": {
                    "type": "userPassword",
                    "description": "The sensor's own user and password.",
                },
            },
        },
        "x-refusals": refusals(),
    }


def _version() -> str:
    project = tomllib.loads((repository() / "pyproject.toml").read_text(encoding="utf-8"))
    version: str = project["project"]["version"]
    return version


def _channel(name: str) -> dict[str, Any]:
    channel = {key: value for key, value in CHANNELS[name].items() if key != "address"}
    address: str | None = CHANNELS[name]["address"]
    carried = {each: {"$ref": f"#/components/messages/{each}"} for each in _carried()[name]}
    parameters = parameters_in(address) if address else {}
    return {
        "address": address,
        **channel,
        "servers": servers_of(name),
        **({"parameters": parameters} if parameters else {}),
        "messages": carried,
    }


def _carried() -> dict[str, tuple[str, ...]]:
    """The names of the messages of each channel."""
    told = tuple(event.TYPE for event in EVENTS if EXAMPLES[event].addressee())
    return {
        "caseFacts": tuple(event.TYPE for event in EVENTS),
        "caseFactsOfADepartment": told,
        "departmentFacts": told,
        "departmentFactsAtOnce": told,
        "departmentRefusals": tuple(event.TYPE for event in TOLD),
        "departmentActs": tuple(map(act_type, DEPARTMENT_VERBS)),
        "departmentAsks": tuple(map(ask_name, ASKS)),
        "answers": (ANSWER,),
        "notices": (NOTICE,),
        "checkpoints": (SEALED,),
        "sensorReports": (SENSOR_REPORT,),
        "sensorAnswers": (SENSOR_ANSWER,),
    }


def _schemas() -> dict[str, Any]:
    models: dict[str, type[BaseModel]] = {each.name: each.model for each in contracts()}
    models |= {ask_name(verb): _asked(verb, body) for verb, body in ASKS.items()}
    made = shared_schemas(models, SCHEMAS)
    made[ENVELOPE] = bare_envelope(made[ENVELOPE])
    del made["Event"]
    return with_deprecations({name: made[name] for name in sorted(made)} | WRITTEN, DEPRECATIONS)


def _asked(verb: str, body: type[BaseModel]) -> type[BaseModel]:
    """The body of a question: over the bus the subject names only department and verb."""
    if verb not in DEPARTMENT_VERBS:  # about no case
        return body
    return create_model(f"Ask{body.__name__}", __base__=body, __doc__=body.__doc__, case_id=(CaseId, ...))
