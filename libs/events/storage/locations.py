"""Where files are kept, and how they may be called."""

import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from libs.events.errors import NotAName

SCHEME: Final = "s3"
NAME_CHARACTERS_MAX: Final = 512
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,199}", re.ASCII)
# As S3 has it: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


class Bucket(NamedTuple):
    """A bucket, and below which segments of it."""

    name: str
    prefix: str


def located(location: str) -> Path | Bucket:
    """A folder or a bucket.  Raises ValueError with the reason."""
    if "://" not in location:
        if not location or "\0" in location:
            raise ValueError("must be the path of a folder, or s3://bucket/prefix")
        return Path(location)
    parts = urlsplit(location)
    bucket, prefix = parts.netloc, parts.path.strip("/")
    if parts.scheme != SCHEME or parts.query or parts.fragment or not _BUCKET.fullmatch(bucket):
        raise ValueError("must be the path of a folder, or s3://bucket/prefix")
    if prefix:
        _checked(prefix)
    return Bucket(bucket, prefix)


def checked(name: str) -> str:
    """The name, if it is one.  Raises NotAName."""
    try:
        return _checked(name)
    except ValueError as error:
        raise NotAName(name, str(error)) from error


def _checked(name: str) -> str:
    if len(name) > NAME_CHARACTERS_MAX:
        raise ValueError(f"a name has at most {NAME_CHARACTERS_MAX} characters")
    if not all(_SEGMENT.fullmatch(segment) for segment in name.split("/")):
        raise ValueError(
            "each segment of a name is of letters, digits, '.', '_', '=', '-', and begins with no dot"
        )
    return name
