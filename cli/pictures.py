"""Small real pictures of a wall, cracked and mended, for the demo, the simulated town and tests."""

from io import BytesIO
from typing import Final

SIZE: Final = (160, 120)
WALL: Final = "#b9a48a"
CRACK: Final = ((40, 0), (52, 30), (47, 55), (63, 80), (58, 119))
PATCH: Final = (34, 0, 70, 119)
QUALITY: Final = 60
MEDIA_TYPE: Final = "image/jpeg"


def before() -> bytes:
    """A JPEG of some 1,500 bytes: the wall with its crack."""
    return _wall(mended=False)


def after() -> bytes:
    """The same wall, mended."""
    return _wall(mended=True)


def _wall(*, mended: bool) -> bytes:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", SIZE, WALL)
    draw = ImageDraw.Draw(picture)
    for height in range(0, SIZE[1], 20):
        draw.line((0, height, SIZE[0], height), "#8d7a63")
    if mended:
        draw.rectangle(PATCH, "#c9b79f")
    else:
        draw.line(CRACK, "#2b2521", 3)
    written = BytesIO()
    picture.save(written, "JPEG", quality=QUALITY)
    return written.getvalue()
