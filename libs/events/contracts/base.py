"""What every fact has in common: frozen, strict, named once and for all."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


def contract_uri(name: str) -> str:
    """What `dataschema` says, and a schema's `$id`: the same in every deployment, which serve it at `/contracts/`."""
    return f"urn:whistle:contract:{name}"


class Event(BaseModel):
    """A fact about one case.  Once released, a subclass never changes: a new shape is a new class and version."""

    # Readers ignore fields they do not know, so that a publisher may add optional ones.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    TYPE: ClassVar[str]
    """The CloudEvents type, a literal such as `whistle.case.reported.v1`."""
    SOURCE: ClassVar[str]
    """The service that states the fact, as a CloudEvents source such as `/intake`."""

    @classmethod
    def name(cls) -> str:
        """The event's token in subjects: `reported` of `whistle.case.reported.v1`.

        What is neither a case nor a person names its kind too: `patrol-ordered` of `whistle.patrol.ordered.v1`.
        """
        _, kind, name, _ = cls.TYPE.split(".")
        return name if kind in {"case", "person"} else f"{kind}-{name}"

    def addressee(self) -> str | None:
        """The department that must learn this fact, if one must; imported facts are told to nobody."""
        return None


class Place(BaseModel):
    """Where the problem is.  WGS84 degrees; any part may be unknown."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    time_zone: str
    """IANA name of the zone in which people there read a clock."""
    address: str | None = None
    longitude: float | None = Field(default=None, ge=-180, le=180)
    latitude: float | None = Field(default=None, ge=-90, le=90)
    street: str | None = None
    community: str | None = None
    grid: str | None = None
    located_by: str | None = None
    """The rule that found the grid: `inside`, `border`, `nearest` or `outside`; None when it was not looked up."""


class ExternalReference(BaseModel):
    """The case's number in the system that it was imported from."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    system: str
    key: str
