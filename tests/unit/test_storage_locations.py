"""Where files are kept, and what is needed to reach them."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from libs.events.storage import S3Settings, store_at
from libs.events.storage.locations import Bucket, located
from libs.events.storage.s3 import address_of
from services.intake.attachments.settings import AttachmentSettings


def test_locations() -> None:
    assert located("/var/lib/x") == Path("/var/lib/x")
    assert located("s3://bucket") == located("s3://bucket/") == Bucket("bucket", "")
    assert located("s3://bucket/a/b/") == Bucket("bucket", "a/b")


@pytest.mark.parametrize(
    "location",
    [
        *("", "a\0b", "s3://", "s3://B", "s3://a", "gs://bucket", "s3://user:pw@bucket", "s3://bucket:9"),
        *("s3://bucket/../x", "s3://bucket/a?b", "s3://bucket/a#b"),
    ],
)
def test_what_is_no_location(location: str) -> None:
    with pytest.raises(ValueError, match=r"must be the path of a folder, or s3://|each segment of a name"):
        located(location)


def test_a_bucket_needs_an_address_and_a_key() -> None:
    whole = S3Settings(
        s3_endpoint="https://s3.example", s3_access_key="key", s3_secret_key=SecretStr("secret")
    )
    store_at("s3://bucket", whole)
    for missing in ({"s3_endpoint": ""}, {"s3_access_key": ""}, {"s3_secret_key": SecretStr("")}):
        with pytest.raises(ValueError, match="WHISTLE_S3_ENDPOINT, WHISTLE_S3_ACCESS_KEY and WHISTLE_S3"):
            store_at("s3://bucket", whole.model_copy(update=missing))


def test_the_bucket_stands_in_the_path_or_in_the_host() -> None:
    path, host = (
        S3Settings(s3_endpoint="https://s3.example:9000/", s3_path_style=style) for style in (True, False)
    )
    assert address_of(Bucket("photos", "x"), path) == "https://s3.example:9000"
    assert address_of(Bucket("photos", "x"), host) == "https://photos.s3.example:9000"


def test_intake_says_at_its_start_what_its_bucket_lacks() -> None:
    with pytest.raises(
        ValidationError, match=r"WHISTLE_PHOTOS_AT: a location s3://... needs WHISTLE_S3_ENDPOINT"
    ):
        AttachmentSettings(photos_at="s3://photos")
    with pytest.raises(ValidationError, match="WHISTLE_PHOTOS_AT: must be the path of a folder, or s3://"):
        AttachmentSettings(photos_at="gs://photos")
    assert AttachmentSettings(photos_at="/mnt/photos").photos_at == "/mnt/photos"
