"""Who may do what where history is played: an account of its own for each room.

A room's account holds nothing but what is played there, so that whatever is done in it, by a reply subject or on
purpose, touches neither the log nor another room.
"""

import re

from cli.embedded.accounts import User
from libs.events.streams import ROOM_CONSUMER
from libs.events.subjects import REPLAY

BYTES_MAX = 256 * 1024**2
"""Of a room's account on disk; three copies of what may wait fit in."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


def player_user(token: str) -> str:
    """Who writes what is played to the room with this subject token."""
    return f"player-{token}"


def room_user(token: str) -> str:
    """Who takes it there."""
    return f"room-{token}"


def room_users(token: str) -> tuple[User, User]:
    """The users of a room's account; raises ValueError if the token cannot be one."""
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"{token!r} cannot be the token of a room")
    streams = tuple(f"$JS.API.STREAM.{call}.{REPLAY}" for call in ("CREATE", "INFO", "DELETE"))
    consumer = f"{REPLAY}.{ROOM_CONSUMER}"
    plays = (
        f"replay.{token}.>",
        *streams,
        *(f"$JS.API.CONSUMER.{call}.{consumer}" for call in ("CREATE", "INFO")),
    )
    # An acknowledgement has a short form, that of one server, and a long one with domain and account.
    takes = (
        *(f"$JS.API.CONSUMER.{call}.{consumer}" for call in ("INFO", "MSG.NEXT")),
        *(f"$JS.ACK.{place}{consumer}.>" for place in ("", "*.*.")),
    )
    return _user(player_user(token), plays), _user(room_user(token), takes)


def _user(name: str, publish: tuple[str, ...]) -> User:
    inbox = f"_INBOX_{name}"
    return User(name, inbox, (*publish, "$JS.API.INFO"), subscribe=(f"{inbox}.>",))
