"""No door lets a number of somebody's through in a free text: what departments read is the log's own message."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Annotated, Any, Final

import pytest
from pydantic import TypeAdapter, ValidationError

import services
from libs.events.bodies import Body
from services.notify.channels.payload import TEXTS

NUMBER: Final = "13800138000"
AS_TYPED: Final = {
    "services.intake.routes.ReportBody.description": "taken apart into what is public and what is sealed",
    "services.intake.routes.PlaceBody.address": "the same",
    "services.intake.sensors.SensorBody.description": "becomes that of a ReportBody",
    "services.intake.contacts.ContactBody.text": "sealed",
    "services.dispatch.bodies.PauseBody.reason": "a code of the rule book",
    "services.notify.subscriptions.bodies.SubscriptionBody.description": "an integrator's, for themselves",
}
"""Fields that are not masked where they are read, and why."""


def bodies(kind: type[Body] = Body) -> Iterator[type[Body]]:
    """All that is said to a service."""
    for each in kind.__subclasses__():
        yield each
        yield from bodies(each)


def texts() -> dict[str, Any]:
    """The fields of bodies in which people write what they like, each with its type."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if not module.name.endswith((".main", ".rebuild", ".timers")):
            import_module(module.name)
    return {
        f"{body.__module__}.{body.__qualname__}.{name}": Annotated[field.annotation, field]
        for body in bodies()
        if body.__module__.startswith("services.")
        for name, field in body.model_fields.items()
        if name in TEXTS
    }


FIELDS: Final = texts()


@pytest.mark.parametrize("name", sorted(FIELDS.keys() - AS_TYPED.keys()))
def test_a_number_typed_into_a_text_is_masked_where_it_is_read(name: str) -> None:
    try:
        said = TypeAdapter(FIELDS[name]).validate_python(f"please call {NUMBER}")
    except ValidationError:  # no free text: one of a few words
        return
    assert said == "please call ***"


def test_all_doors_are_looked_at_and_exceptions_are_there() -> None:
    assert AS_TYPED.keys() <= FIELDS.keys()
    assert len(FIELDS) > 15
