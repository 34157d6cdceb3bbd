"""Settings of attachments: by whom uploads are looked through for harm, and where pictures are kept for good."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from libs.events.storage import S3Settings, store_at


class AttachmentSettings(S3Settings):
    """Without a scanner uploads are not scanned; with one, what could not be scanned is not taken."""

    photos_at: str = Field(
        default="",
        description="where pictures of which a fact speaks are kept: `s3://bucket/prefix`, or a folder that all "
        "replicas share; empty: in the log's own store",
    )

    scan_command: str = Field(
        default="",
        description="a program that reads an upload from stdin and exits with 0 (clean) or 1 (harmful), "
        "such as `clamdscan --no-summary -`",
    )
    scan_url: SecretStr = Field(
        default=SecretStr(""),
        description="an address that takes an upload by POST and answers 200 or 204 (clean) or 406 (harmful)",
    )

    @model_validator(mode="after")
    def _place(self) -> Self:
        if self.photos_at:
            try:
                store_at(self.photos_at, self)
            except ValueError as error:
                raise ValueError(f"WHISTLE_PHOTOS_AT: {error}") from error
        return self

    @model_validator(mode="after")
    def _one_scanner(self) -> Self:
        address = self.scan_url.get_secret_value()
        if address and self.scan_command:
            raise ValueError("WHISTLE_SCAN_COMMAND and WHISTLE_SCAN_URL are both set: set one of them")
        if address and not address.startswith(("http://", "https://")):
            raise ValueError("WHISTLE_SCAN_URL must start with http:// or https://")
        return self
