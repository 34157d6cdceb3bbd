"""How to reach S3, or whatever speaks it."""

from pydantic import Field, SecretStr, field_validator

from libs.events.settings import Settings


class S3Settings(Settings):
    """The same for every bucket; which one is said by a location, `s3://bucket/prefix`."""

    s3_endpoint: str = Field(
        default="",
        description="address of the server that speaks S3, without the bucket; needed for s3:// locations",
    )
    s3_region: str = Field(default="us-east-1", description="the region that requests are signed for")
    s3_access_key: str = Field(default="", description="the access key")
    s3_secret_key: SecretStr = Field(default=SecretStr(""), description="the secret of that key")
    s3_path_style: bool = Field(
        default=True,
        description="whether the bucket stands in the path of an address; false: in the name of the host",
    )

    @field_validator("s3_endpoint")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")
