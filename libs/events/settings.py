"""Settings from the environment: one class for each concern, read once, at the start of a process.

Every variable starts with `WHISTLE_`; an empty one counts as not set.  A secret may stand in a file instead:
`WHISTLE_NATS_PASSWORD_FILE=/run/secrets/nats` means the same as the variable with the file's content.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from libs.events.access.limiting import is_safe, networks

PREFIX: Final = "WHISTLE_"
EXIT_WRONG_SETTINGS: Final = 2
SECRET_FILE_BYTES_MAX: Final = 64 * 1024
PUBLIC_REQUESTS_PER_MINUTE: Final = 120
NATS_SCHEMES: Final = ("nats://", "tls://")
POSTGRES_SCHEMES: Final = ("postgresql://", "postgres://")


class Settings(BaseSettings):
    """Base of all settings.  Create one with `read`, which explains what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings gives all four by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code comes first, then secrets in files, then the environment; nothing else."""
        return init_settings, _SecretFiles(settings_cls), env_settings


class TelemetrySettings(Settings):
    """Where logs, traces and metrics go."""

    otlp_endpoint: str = Field(
        default="", description="base address of an OTLP/HTTP collector; empty sends nothing anywhere"
    )
    trace_sample_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0, description="share of new traces that are recorded; a trace once begun stays whole"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto is console on a terminal and json elsewhere"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least serious lines that are written"
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")


class BusSettings(Settings):
    """How to reach the log."""

    nats_url: str = Field(description="addresses of the NATS servers, separated by commas")
    nats_user: str = Field(description="the service's own user in the account LOG")
    nats_password: SecretStr = Field(description="the password of that user")
    stream_replicas: Annotated[int, Field(ge=1, le=5)] = Field(
        default=1, description="copies of each stream that must be declared: 1 on one server, 3 on a cluster"
    )
    append_deadline_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        default=10.0, description="how long a write to the log may stay without a definite answer"
    )

    @field_validator("nats_url")
    @classmethod
    def _has_addresses(cls, value: str) -> str:
        addresses = _parts(value)
        if not addresses or not all(address.startswith(NATS_SCHEMES) for address in addresses):
            raise ValueError("must be addresses such as nats://127.0.0.1:4222, separated by commas")
        if "@" in value:
            raise ValueError(
                f"must hold no user or password; set {PREFIX}NATS_USER and {PREFIX}NATS_PASSWORD"
            )
        return value


def _is_postgres(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(POSTGRES_SCHEMES):
        raise ValueError("must start with postgresql://")
    return value


PostgresDsn = Annotated[SecretStr, AfterValidator(_is_postgres)]


class DatabaseSettings(Settings):
    """How to reach the service's own schema."""

    postgres_dsn: PostgresDsn = Field(
        description="postgresql://role:password@host:port/whistle, the service's own role"
    )
    postgres_pool_connections_max: Annotated[int, Field(ge=1, le=100)] = Field(
        default=8, description="connections that one process opens at most"
    )


class HttpSettings(Settings):
    """Where the service is asked over HTTP."""

    http_host: str = Field(
        default="127.0.0.1", description="the address to listen on; 0.0.0.0 in a container"
    )
    http_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8080, description="the port to listen on; 0 takes a free one"
    )


class AccessSettings(Settings):
    """Who is let in over HTTP."""

    oidc_issuer: str = Field(
        default="",
        description="the OpenID Connect issuer whose access tokens are taken; empty: API keys alone",
    )
    oidc_audience: str = Field(default="whistle", description="whom a token must be meant for: its `aud`")
    oidc_posts_claim: str = Field(
        default="posts", description="the claim of a token that lists posts such as `centre:hebin`"
    )
    public_requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        default=PUBLIC_REQUESTS_PER_MINUTE,
        description="requests that one address may send without signing in, to one replica",
    )
    trusted_proxies: str = Field(
        default="",
        description="networks whose `X-Forwarded-For` is believed, such as `10.0.0.0/8`, separated by commas",
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _is_issuer(cls, value: str) -> str:
        if value and not is_safe(value):
            raise ValueError("must start with https:// (http:// only on this machine itself)")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks(value)
        return value


class ServiceSettings(TelemetrySettings, BusSettings, DatabaseSettings, HttpSettings, AccessSettings):
    """What every service needs; each service adds its own in a subclass."""

    lag_events_max: Annotated[int, Field(ge=0)] = Field(
        default=10_000, description="events that the service may be behind the log and still be ready"
    )
    ack_wait_seconds: Annotated[float, Field(gt=0)] = Field(
        default=30.0, description="seconds after which an event that was not acknowledged is delivered again"
    )
    batch_messages_max: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=500, description="events that the service takes from the log in one go"
    )
    accept_differences: bool = Field(
        default=False,
        description="after an upgrade, switch to read models that say something else than the old ones",
    )


S = TypeVar("S", bound=Settings)


def read(settings: type[S]) -> S:
    """The settings of this process.  Ends it with status 2 and one line for each variable that is wrong."""
    try:
        return settings()
    except ValidationError as error:
        lines = "\n".join(f"  {line}" for line in problems(settings, error))
        sys.stderr.write(f"cannot start, these settings are wrong:\n{lines}\n")
        raise SystemExit(EXIT_WRONG_SETTINGS) from None


def problems(settings: type[Settings], error: ValidationError) -> tuple[str, ...]:
    """One line for each variable that is wrong: its name and the reason, never its value."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        f"{_named(settings, detail['loc'])}: {_reason(detail['type'], detail['msg'])}" for detail in details
    )


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


class _SecretFiles(PydanticBaseSettingsSource):
    """Values of secret fields that stand in the files named by `<VARIABLE>_FILE`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{variable(field_name)}_FILE")
        if not path or not _is_secret(field):
            return None, field_name, False
        if os.environ.get(variable(field_name)):
            raise ValueError(f"is set, and so is {variable(field_name)}_FILE: set one of them")
        return _content(Path(path)), field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        wrong: list[InitErrorDetails] = []
        for name, field in self.settings_cls.model_fields.items():
            try:
                value, _, _ = self.get_field_value(field, name)
            except ValueError as error:
                reason = PydanticCustomError("secret_file", "{reason}", {"reason": str(error)})
                wrong.append(InitErrorDetails(type=reason, loc=(name,), input=None))
                continue
            if value is not None:
                found[name] = value
        if wrong:
            raise ValidationError.from_exception_data(self.settings_cls.__name__, wrong)
        return found


def _content(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            content = file.read(SECRET_FILE_BYTES_MAX).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"the file {path} cannot be read: {why}") from error
    if not content:
        raise ValueError(f"the file {path} is empty")
    return content


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in {field.annotation, *get_args(field.annotation)}


def _named(settings: type[Settings], place: tuple[int | str, ...]) -> str:
    if not place:
        return f"{PREFIX}*"
    field = str(place[0])
    name = variable(field)
    known = settings.model_fields.get(field)
    return f"{name} (or {name}_FILE)" if known is not None and _is_secret(known) else name


def _reason(kind: str, message: str) -> str:
    return "is not set" if kind == "missing" else message.removeprefix("Value error, ")


def _parts(addresses: str) -> list[str]:
    return [address.strip() for address in addresses.split(",") if address.strip()]
