"""Makes a picture that holds nothing but what one sees, out of bytes that a stranger sent.

It runs as a program of its own, `python -I cleaning.py PIXELS_MAX < upload > answer`, without our settings and within
bounds of memory and time: decoders have faults, and a picture can be made to fill a machine. So it imports nothing of
ours.  The answer is a line of JSON, and after it the picture.
"""

import json
import resource
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from io import BytesIO
from typing import Any, Final

from PIL import ExifTags, Image, ImageCms, ImageOps, JpegImagePlugin

MEMORY_BYTES_MAX: Final = 1024**3
PROCESSOR_SECONDS_MAX: Final = 15
WEBP_QUALITY: Final = 90
"""Of a lossy WebP, whose own quality cannot be read."""
CMYK_QUALITY: Final = 90
COORDINATE_DIGITS: Final = 6
MEDIA_TYPES: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


class Refusal(StrEnum):
    """Why it is no picture for us."""

    HEIC = "heic_not_supported"
    NO_PICTURE = "not_a_picture"
    BROKEN = "picture_unreadable"
    TOO_MANY_PIXELS = "too_many_pixels"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a cleaned picture; when and where it was taken, as the camera noted it."""

    media_type: str
    width: int
    height: int
    taken_at: str | None = None
    """ISO 8601; without an offset where the camera noted none."""
    longitude: float | None = None
    latitude: float | None = None


def sniffed(raw: bytes) -> str | Refusal:
    """Pillow's name of the format, by the first bytes alone: what a sender calls it proves nothing."""
    if raw.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if raw.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "WEBP"
    return Refusal.HEIC if raw[4:8] == b"ftyp" else Refusal.NO_PICTURE


def cleaned(raw: bytes, pixels_max: int) -> tuple[Facts, bytes] | Refusal:
    """The picture upright, in colours of the web, with no word in it; of a moving one the first frame."""
    kind = sniffed(raw)
    if isinstance(kind, Refusal):
        return kind
    try:
        picture = Image.open(BytesIO(raw), formats=[kind])
        if picture.width * picture.height > pixels_max:
            return Refusal.TOO_MANY_PIXELS
        noted = _noted(picture)
        how = _how(kind, picture, raw)
        picture.load()
        plain = _plain(picture)
        written = BytesIO()
        plain.save(written, **how)
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Refusal.TOO_MANY_PIXELS
    except Exception:  # whatever a decoder trips over is a fault of the picture
        return Refusal.BROKEN
    return Facts(MEDIA_TYPES[how["format"]], plain.width, plain.height, **noted), written.getvalue()


def _how(kind: str, picture: Image.Image, raw: bytes) -> dict[str, Any]:
    """How to write it: as it was written, so that nothing is lost twice."""
    match kind:
        case "JPEG" if picture.mode == "CMYK":
            return {"format": "JPEG", "quality": CMYK_QUALITY}
        case "JPEG":
            tables: Any = getattr(picture, "quantization", None)
            sampling = JpegImagePlugin.get_sampling(picture)
            same = {"qtables": tables, "subsampling": sampling} if tables else {}
            return {"format": "JPEG", "progressive": bool(picture.info.get("progressive")), **same}
        case "WEBP" if _is_lossless(raw):
            return {"format": "WEBP", "lossless": True}
        case "WEBP":
            return {"format": "WEBP", "quality": WEBP_QUALITY}
        case _:
            return {"format": "PNG", "optimize": True}


def _is_lossless(raw: bytes) -> bool:
    """Whether the first frame of a WebP is lossless (RFC 9649: chunks of a name, a size, and so many bytes)."""
    place = 12
    while place + 8 <= len(raw):
        name, size = raw[place : place + 4], int.from_bytes(raw[place + 4 : place + 8], "little")
        if name in {b"VP8L", b"VP8 "}:
            return name == b"VP8L"
        # A frame of a moving picture has 16 bytes of its own before its chunks.
        place += 24 if name == b"ANMF" else 8 + size + size % 2
    return False


def _plain(picture: Image.Image) -> Image.Image:
    with suppress(Exception):  # what cannot be read turns nothing
        ImageOps.exif_transpose(picture, in_place=True)
    coloured = _in_colours_of_the_web(picture)
    if coloured.mode in {"CMYK", "YCbCr", "LAB", "HSV"}:
        coloured = coloured.convert("RGB")
    # What Pillow writes beside the pixels, it takes from here: comments, profiles, XMP, texts.
    transparency = coloured.info.get("transparency")
    coloured.info = {} if transparency is None else {"transparency": transparency}
    return coloured


def _in_colours_of_the_web(picture: Image.Image) -> Image.Image:
    """The same colours without the camera's profile, which names the camera."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in {"RGB", "CMYK"}:
        return picture
    try:
        own = ImageCms.ImageCmsProfile(BytesIO(profile))
        web = ImageCms.createProfile("sRGB")
        turned = ImageCms.profileToProfile(picture, own, web, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return picture
    return turned or picture


def _noted(picture: Image.Image) -> dict[str, Any]:
    """When and where it was taken, as far as the camera noted it readably."""
    noted: dict[str, Any] = {}
    with suppress(Exception):
        exif = picture.getexif()
        with suppress(Exception):
            noted["taken_at"] = _moment(exif.get_ifd(ExifTags.IFD.Exif))
        with suppress(Exception):
            noted |= _place(exif.get_ifd(ExifTags.IFD.GPSInfo))
    return noted


def _moment(camera: dict[int, Any]) -> str:
    said = str(camera[ExifTags.Base.DateTimeOriginal]).rstrip("\0 ")
    taken = datetime.strptime(said, "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - a zone is added if there is one
    offset = str(camera.get(ExifTags.Base.OffsetTimeOriginal, "")).rstrip("\0 ")
    if offset:
        with suppress(ValueError):
            hours, minutes = offset[1:].split(":")
            east = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if offset[0] == "-" else 1)
            taken = taken.replace(tzinfo=timezone(east))
    return taken.isoformat()


def _place(camera: dict[int, Any]) -> dict[str, float]:
    latitude = _degrees(camera[ExifTags.GPS.GPSLatitude], camera[ExifTags.GPS.GPSLatitudeRef])
    longitude = _degrees(camera[ExifTags.GPS.GPSLongitude], camera[ExifTags.GPS.GPSLongitudeRef])
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # also refuses what is no number
        return {}
    return {"longitude": longitude, "latitude": latitude}


def _degrees(parts: Any, side: Any) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    sign = -1 if str(side).strip("\0 ") in {"S", "W"} else 1
    return sign * round(degrees + minutes / 60 + seconds / 3600, COORDINATE_DIGITS)


def _keep_within_bounds() -> None:
    bounds = {
        resource.RLIMIT_AS: MEMORY_BYTES_MAX,
        resource.RLIMIT_CPU: PROCESSOR_SECONDS_MAX,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in bounds.items():
        resource.setrlimit(what, (most, most))


def main() -> None:
    """Clean what stands on stdin."""
    _keep_within_bounds()
    outcome = cleaned(sys.stdin.buffer.read(), int(sys.argv[1]))
    out = sys.stdout.buffer
    if isinstance(outcome, Refusal):
        out.write(json.dumps({"refusal": outcome}).encode() + b"\n")
        return
    facts, picture = outcome
    out.write(json.dumps(asdict(facts)).encode() + b"\n" + picture)


if __name__ == "__main__":
    main()
