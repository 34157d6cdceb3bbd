"""Settings of notify."""

from string import Template
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from libs.events.settings import ServiceSettings
from libs.events.vault.settings import OpeningSettings
from services.notify.channels.guard import networks

LEASE_ATTEMPTS_MIN: Final = 3
"""A lease lasts as long as so many attempts, so that none is begun that could outlast it."""


class NotifySettings(ServiceSettings, OpeningSettings):
    """Whom notify may call, and how patiently."""

    webhook_http: bool = Field(
        default=False,
        description="take receivers of webhooks at http:// as well, which anybody on the way reads",
    )
    webhook_networks: str = Field(
        default="",
        description="networks that are not public, in which receivers of webhooks may stand all the same,"
        " such as 10.20.0.0/16; separated by commas",
    )
    delivery_attempt_seconds: Annotated[float, Field(gt=0, le=120)] = Field(
        default=15.0, description="how long one attempt to deliver a notice may take"
    )
    delivery_lease_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=60.0,
        description="after so long without a sign of life, another replica takes over deliveries",
    )
    delivery_connections_max: Annotated[int, Field(ge=1, le=100)] = Field(
        default=6, description="connections to the database that deliveries may use, besides the others"
    )

    public_url: str = Field(
        default="",
        description="where residents reach `/wishes` of notify, for the links in mails; empty: no links",
    )
    mail_host: str = Field(default="", description="the server that takes our mail; empty: no mail is sent")
    mail_port: Annotated[int, Field(ge=1, le=65_535)] = Field(default=587, description="its port")
    mail_security: Literal["tls", "starttls", "none"] = Field(
        default="starttls",
        description="how the connection to it is encrypted; none only where nobody listens",
    )
    mail_user: str = Field(default="", description="the user at the mail server; empty: none")
    mail_password: SecretStr = Field(default=SecretStr(""), description="the password of that user")
    mail_sender: str = Field(default="", description="the address that mail comes from")
    mail_offices: str = Field(
        default="",
        description="mail addresses of departments and posts, such as `department:water=duty@water.example`,"
        " `post:street:hebin=desk@hebin.example`; separated by commas",
    )
    sms_url: str = Field(
        default="", description="the gateway that takes an SMS by POST; empty: no SMS is sent"
    )
    sms_body: str = Field(
        default='{"to": "$phone", "text": "$text", "id": "$id"}',
        description="what is posted there; $phone, $text and $id are filled in",
    )
    sms_content_type: str = Field(
        default="application/json",
        description="its content type; values are written as JSON or, else, as in forms",
    )
    sms_headers: SecretStr = Field(
        default=SecretStr(""),
        description="further headers, one `Name: value` on a line, such as Authorization",
    )

    @property
    def offices(self) -> dict[str, str]:
        """Mail addresses by receiver."""
        pairs = (each.partition("=") for each in self.mail_offices.split(",") if each.strip())
        return {receiver.strip(): address.strip() for receiver, _, address in pairs}

    @property
    def sms_header_lines(self) -> tuple[tuple[str, str], ...]:
        """Names and values of the gateway's headers."""
        lines = (
            line.partition(":") for line in self.sms_headers.get_secret_value().splitlines() if line.strip()
        )
        return tuple((name.strip(), value.strip()) for name, _, value in lines)

    @field_validator("public_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("mail_offices")
    @classmethod
    def _name_receivers(cls, value: str) -> str:
        for each in value.split(","):
            receiver, _, address = each.strip().partition("=")
            if each.strip() and not (receiver.partition(":")[2] and "@" in address):
                raise ValueError("must be like department:water=duty@water.example, separated by commas")
        return value

    @model_validator(mode="after")
    def _mail_has_a_sender(self) -> Self:
        if self.mail_host and "@" not in self.mail_sender:
            raise ValueError("WHISTLE_MAIL_HOST needs WHISTLE_MAIL_SENDER, a mail address")
        return self

    @field_validator("sms_body")
    @classmethod
    def _can_be_filled(cls, value: str) -> str:
        try:
            Template(value).substitute(phone="", text="", id="")
        except (KeyError, ValueError) as error:
            raise ValueError("may hold $phone, $text and $id, and $$ for a dollar") from error
        return value

    @field_validator("webhook_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks(value)
        return value

    @model_validator(mode="after")
    def _lease_outlasts_attempts(self) -> Self:
        if self.delivery_lease_seconds < LEASE_ATTEMPTS_MIN * self.delivery_attempt_seconds:
            raise ValueError(
                f"WHISTLE_DELIVERY_LEASE_SECONDS must be at least {LEASE_ATTEMPTS_MIN} times"
                " WHISTLE_DELIVERY_ATTEMPT_SECONDS"
            )
        return self
