"""The photos of the demo and the simulated town: two pictures, sent once, which all cases name."""

from typing import NamedTuple

from cli import pictures
from cli.demo.doors import Doors, http_client
from cli.stack.state import Stack


class Photos(NamedTuple):
    """How facts name them."""

    before: str
    after: str


async def send_photos(stack: Stack) -> Photos:
    """Send both.  Raises NoAnswer, or httpx.HTTPStatusError when they are refused."""
    async with http_client() as http:
        intake = Doors(http, stack.service_urls("intake"))
        return Photos(await _sent(intake, pictures.before()), await _sent(intake, pictures.after()))


async def _sent(intake: Doors, picture: bytes) -> str:
    answer = await intake.send("/attachments", picture, pictures.MEDIA_TYPE)
    return str(answer.response.raise_for_status().json()["reference"])
