"""Settings of the ledger."""

from typing import Annotated, Final

from pydantic import Field, SecretStr, field_validator

from libs.events.ledger.notes import NoteInvalid, Signer
from libs.events.settings import AccessSettings, BusSettings, HttpSettings, TelemetrySettings
from libs.events.storage.locations import located
from libs.events.storage.settings import S3Settings
from services.ledger.witnessing.witnesses import witnesses_of

CHECKPOINT_SECONDS: Final = 60.0
CHECKPOINT_EVENTS: Final = 100_000


class LedgerSettings(TelemetrySettings, BusSettings, HttpSettings, AccessSettings, S3Settings):
    """What is sealed where, how often it is signed, and who is told."""

    ledger_key: SecretStr = Field(
        description="the private key that signs checkpoints; its name is that of this deployment, for good"
    )
    ledger_store: str = Field(
        default=".whistle/ledger",
        description="where the sealed files lie: a folder, or s3://bucket/prefix",
    )
    ledger_checkpoint_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=CHECKPOINT_SECONDS, description="seconds from a new event to the checkpoint that holds it"
    )
    ledger_checkpoint_events: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        default=CHECKPOINT_EVENTS, description="events between two checkpoints at most"
    )
    ledger_reseal: bool = Field(
        default=False,
        description="whether files that the store lost are made again from the log; nothing is signed before the"
        " newest checkpoint follows from them",
    )
    ledger_witnesses: str = Field(
        default="",
        description="who cosigns checkpoints (C2SP tlog-witness): `<public key> <address>`, separated by commas",
    )
    ledger_tsa_url: str = Field(
        default="", description="the authority that stamps the time of checkpoints (RFC 3161); empty: none"
    )
    ledger_stamp_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=3_600.0, description="seconds between two time stamps of a stream at least"
    )
    lag_events_max: Annotated[int, Field(ge=0)] = Field(
        default=100_000, description="events of a stream that may be unsealed while the ledger is ready"
    )

    @field_validator("ledger_key")
    @classmethod
    def _is_key(cls, value: SecretStr) -> SecretStr:
        try:
            Signer.of(value.get_secret_value())
        except NoteInvalid as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("ledger_store")
    @classmethod
    def _is_location(cls, value: str) -> str:
        located(value)
        return value

    @field_validator("ledger_witnesses")
    @classmethod
    def _are_witnesses(cls, value: str) -> str:
        witnesses_of(value)
        return value

    @field_validator("ledger_tsa_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value

    @property
    def signer(self) -> Signer:
        """Who signs."""
        return Signer.of(self.ledger_key.get_secret_value())
