"""The accounts file of servers that run elsewhere: the same users, each password a variable."""

from collections.abc import Sequence

from cli.embedded.account_file import Keys, render_accounts
from cli.embedded.accounts import sensor_user, user_names
from cli.embedded.rooms import room_users

HEAD = """\
# Written by deploy/render.py or ./whistle department, from cli/embedded/accounts.py and the public keys of departments.
# Change those, not this file.
include "../nats-secrets/passwords.conf"

"""


def variable(user: str) -> str:
    """The variable that stands for the password of `user`."""
    return "WHISTLE_PASSWORD_" + "".join(c if c.isalnum() else "_" for c in user).upper()


def render(
    departments: Keys, sensors: Sequence[str] = (), rooms: Sequence[str] = (), *, restoring: bool = False
) -> str:
    """The accounts file, with whoever fills an empty log only when *restoring*.

    Raises ValueError if two users would have one password, since their names are too alike.
    """
    users: dict[str, str] = {}
    in_rooms = (user.name for room in rooms for user in room_users(room))
    for user in (*user_names(), *map(sensor_user, sensors), *in_rooms):
        other = users.setdefault(variable(user), user)
        if other != user:
            raise ValueError(f"{other!r} and {user!r} differ only in case or punctuation: rename one")
    accounts = render_accounts(
        departments, lambda user: f"${variable(user)}", sensors, rooms, restoring=restoring
    )
    return HEAD + accounts
