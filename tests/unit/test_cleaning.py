"""What is left of a picture that somebody sends: what one sees, and no word of who took it where with what."""

import struct
import zlib
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageDraw, PngImagePlugin, TiffImagePlugin

from services.intake.attachments.cleaning import Facts, Refusal, cleaned, sniffed

PIXELS_MAX = 1_000_000
SECRETS = (b"Whistlecam", b"hidden words", b"x:xmpmeta", b"8BIM", b"a comment", b"FIXEDTRAILER")


def half_and_half(mode: str = "RGB") -> Image.Image:
    """Wide, the left half red: one sees how it is turned."""
    picture = Image.new("RGB", (48, 32), "blue")
    ImageDraw.Draw(picture).rectangle((0, 0, 23, 31), "red")
    return picture.convert(mode)


def camera(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Whistlecam"
    taken = exif.get_ifd(ExifTags.IFD.Exif)
    taken[ExifTags.Base.DateTimeOriginal] = "2018:12:24 15:05:33"
    taken[ExifTags.Base.OffsetTimeOriginal] = "+08:00"
    taken[ExifTags.Base.UserComment] = b"hidden words"
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef], place[ExifTags.GPS.GPSLatitude] = "N", (40.0, 24.0, 36.0)
    place[ExifTags.GPS.GPSLongitudeRef], place[ExifTags.GPS.GPSLongitude] = "E", (110.0, 1.0, 48.0)
    return exif


def written(picture: Image.Image, kind: str, **how: Any) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **how)
    return out.getvalue()


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photo(orientation: int = 1, profile: bytes = PROFILE) -> bytes:
    """A JPEG as a camera writes it, with all that it tells."""
    plain = written(
        half_and_half(),
        "JPEG",
        quality=80,
        exif=camera(orientation),
        xmp=b"<x:xmpmeta/>",
        comment=b"a comment",
        icc_profile=profile,
    )
    iptc = b"Photoshop 3.0\x008BIM hidden words"
    segment = b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc
    # Telephones hide a film behind the picture: what follows its end must go, too.
    return plain[:2] + segment + plain[2:] + b"FIXEDTRAILER"


def got(raw: bytes) -> tuple[Facts, bytes]:
    outcome = cleaned(raw, PIXELS_MAX)
    assert not isinstance(outcome, Refusal), outcome
    return outcome


def opened(content: bytes) -> Image.Image:
    picture = Image.open(BytesIO(content))
    picture.load()
    return picture


@pytest.mark.parametrize("profile", [PROFILE, b"", b"Whistlecam is no profile"])
def test_nothing_is_left_of_a_photo_but_what_one_sees(profile: bytes) -> None:
    raw = photo(profile=profile)
    assert all(secret in raw for secret in SECRETS), "else this proves nothing"
    facts, content = got(raw)
    assert (facts.media_type, facts.width, facts.height) == ("image/jpeg", 48, 32)
    assert not any(secret in content for secret in SECRETS)
    picture = opened(content)
    assert not dict(picture.getexif())
    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    red, green, blue = picture.convert("RGB").getpixel((5, 16))  # type: ignore[misc]
    assert (red > 200, green < 60, blue < 60) == (True, True, True)


def test_a_photo_keeps_the_quality_that_it_had() -> None:
    raw = photo()
    before, after = Image.open(BytesIO(raw)), opened(got(raw)[1])
    assert before.quantization == after.quantization  # type: ignore[attr-defined]


def test_the_same_photo_becomes_the_same_bytes() -> None:
    assert got(photo())[1] == got(photo())[1]


@pytest.mark.parametrize(
    ("orientation", "size", "red_at"),
    [
        (1, (48, 32), (2, 16)),
        (3, (48, 32), (45, 16)),
        (6, (32, 48), (16, 2)),
        (8, (32, 48), (16, 45)),
    ],
)
def test_a_photo_stands_upright_without_saying_so(
    orientation: int, size: tuple[int, int], red_at: tuple[int, int]
) -> None:
    picture = opened(got(photo(orientation))[1])
    assert picture.size == size
    assert picture.getpixel(red_at)[0] > 200  # type: ignore[index]
    assert ExifTags.Base.Orientation not in picture.getexif()


def test_when_and_where_it_was_taken_is_told_beside_it() -> None:
    facts, _ = got(photo())
    assert facts.taken_at == "2018-12-24T15:05:33+08:00"
    assert (facts.longitude, facts.latitude) == (110.03, 40.41)
    facts, _ = got(written(half_and_half(), "JPEG"))
    assert (facts.taken_at, facts.longitude, facts.latitude) == (None, None, None)


@pytest.mark.parametrize("broken", ["0000:00:00 00:00:00", "yesterday", "2018:12:24 15:05:33\x00"])
def test_a_time_that_is_none_is_left_out(broken: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = broken
    facts, _ = got(written(half_and_half(), "JPEG", exif=exif))
    assert facts.taken_at in {None, "2018-12-24T15:05:33"}


@pytest.mark.parametrize("degrees", [(91.0, 0.0, 0.0), (TiffImagePlugin.IFDRational(0, 0), 0.0, 0.0)])
def test_a_place_that_is_nowhere_is_left_out(degrees: tuple[Any, ...]) -> None:
    exif = camera()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = degrees
    facts, _ = got(written(half_and_half(), "JPEG", exif=exif))
    assert (facts.longitude, facts.latitude) == (None, None)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "I;16"])
def test_a_png_stays_one_without_its_words(mode: str) -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("Author", "hidden words")
    words.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    picture = half_and_half("L").convert(mode) if mode == "I;16" else half_and_half(mode)
    facts, content = got(written(picture, "PNG", pnginfo=words, exif=camera(6)))
    assert (facts.media_type, facts.width, facts.height) == ("image/png", 32, 48)
    assert not any(secret in content for secret in SECRETS)
    assert opened(content).mode == picture.mode


def test_what_is_transparent_stays_so() -> None:
    see_through = half_and_half("P")
    content = got(written(see_through, "PNG", transparency=see_through.getpixel((2, 2))))[1]
    assert opened(content).convert("RGBA").getpixel((2, 2))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize("how", [{"lossless": True}, {"quality": 70}])
def test_a_webp_stays_one(how: dict[str, Any]) -> None:
    facts, content = got(written(half_and_half(), "WEBP", exif=camera(), xmp=b"<x:xmpmeta/>", **how))
    assert facts.media_type == "image/webp"
    assert not any(secret in content for secret in SECRETS)
    assert (b"VP8L" in content) == ("lossless" in how)


@pytest.mark.parametrize(
    ("kind", "becomes"), [("GIF", "image/png"), ("WEBP", "image/webp"), ("PNG", "image/png")]
)
def test_of_a_moving_picture_the_first_frame_is_kept(kind: str, becomes: str) -> None:
    frames = [half_and_half(), Image.new("RGB", (48, 32), "green")]
    raw = written(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    facts, content = got(raw)
    assert facts.media_type == becomes
    assert getattr(opened(content), "n_frames", 1) == 1
    assert opened(content).convert("RGB").getpixel((2, 2))[0] > 200  # type: ignore[index]


def test_four_colours_of_print_become_three_of_a_screen() -> None:
    facts, content = got(written(half_and_half("CMYK"), "JPEG"))
    assert (facts.media_type, opened(content).mode) == ("image/jpeg", "RGB")


def test_a_small_file_that_says_it_is_huge_is_not_opened() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 1, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )
    assert cleaned(bomb, PIXELS_MAX) is Refusal.TOO_MANY_PIXELS
    exact = written(Image.new("1", (1000, 1000)), "PNG")
    assert cleaned(exact, 1_000_000) is not Refusal.TOO_MANY_PIXELS
    assert cleaned(exact, 999_999) is Refusal.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (b"", Refusal.NO_PICTURE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Refusal.NO_PICTURE),
        (b"<html>GIF89a", Refusal.NO_PICTURE),
        (b"%PDF-1.7", Refusal.NO_PICTURE),
        (b"BM" + b"\0" * 60, Refusal.NO_PICTURE),
        (b"\0\0\0\x18ftypheic\0\0\0\0", Refusal.HEIC),
        (b"\0\0\0\x18ftypavif\0\0\0\0", Refusal.HEIC),
        (b"\xff\xd8\xff", Refusal.BROKEN),
        (b"GIF89a<script>alert(1)</script>", Refusal.BROKEN),
        (b"RIFF\0\0\0\0WEBP", Refusal.BROKEN),
    ],
)
def test_what_is_no_picture_is_refused_with_its_reason(raw: bytes, refusal: Refusal) -> None:
    assert cleaned(raw, PIXELS_MAX) is refusal


def test_a_picture_that_breaks_off_is_refused() -> None:
    assert cleaned(photo()[:900], PIXELS_MAX) is Refusal.BROKEN


def test_a_name_does_not_decide_what_it_is() -> None:
    assert sniffed(photo()) == "JPEG"
    # The bytes of one format behind the first bytes of another are read by nobody else.
    assert cleaned(b"\xff\xd8\xff" + written(half_and_half(), "PNG"), PIXELS_MAX) is Refusal.BROKEN


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 3_000), byte=st.integers(0, 255), cut=st.integers(0, 3_000))
def test_whatever_is_wrong_with_it_is_an_answer(place: int, byte: int, cut: int) -> None:
    """And whatever gets through is a picture without words."""
    raw = bytearray(photo(6))
    raw[place % len(raw)] = byte
    outcome = cleaned(bytes(raw[: max(4, len(raw) - cut)]), PIXELS_MAX)
    if not isinstance(outcome, Refusal):
        assert opened(outcome[1]).size == (outcome[0].width, outcome[0].height)
        assert not any(secret in outcome[1] for secret in SECRETS[:-1])
