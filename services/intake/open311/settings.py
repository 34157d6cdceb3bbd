"""Settings of the Open311 endpoint."""

from pydantic import Field, field_validator

from libs.events.settings import Settings
from services.intake.open311.wordings import Language


class Open311Settings(Settings):
    """What a city says of its Open311 endpoint; each has a default that works."""

    open311_url: str = Field(
        default="",
        description="address of the Open311 endpoint as apps reach it; empty takes it from each request",
    )
    open311_jurisdiction: str = Field(
        default="", description="our jurisdiction_id, such as example.gov; empty takes whatever is given"
    )
    open311_contact: str = Field(
        default="",
        description="whom developers of apps ask, in the discovery document; empty is the city's name",
    )
    open311_key_service: str = Field(
        default="Ask whoever runs this endpoint for an API key · API 密钥请向本系统管理员申请",
        description="how to get an API key, in the discovery document",
    )
    open311_language: Language = Field(
        default="zh", description="language of Open311 answers when nobody asks for zh or en"
    )
    open311_media: bool = Field(
        default=False,
        description="show the addresses of reporters' photos to everybody; nobody has looked for faces in them",
    )

    @field_validator("open311_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")
