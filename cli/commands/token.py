"""`./whistle token`: a token to try the interfaces of the embedded default with, as any post."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from cli.output import JsonOption, print_json
from cli.stack.state import Stack
from cli.tokens import token_for
from libs.events.access.identity import is_post
from libs.events.access.roles import ROLE_OF

MINUTES_DEFAULT: Final = 60
MINUTES_MAX: Final = 24 * 60


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("token", help="A token to try the interfaces with · 生成试用令牌")(token)


def token(
    as_: Annotated[
        list[str],
        typer.Option("--as", metavar="POST", help="like centre:hebin; may be given again · 岗位，可重复"),
    ],
    minutes: Annotated[
        int, typer.Option(min=1, max=MINUTES_MAX, help="how long it holds · 有效分钟数")
    ] = MINUTES_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """A token of this system's own issuer; a city has an issuer of its own · 生成本机身份服务的令牌."""
    checked(as_, "--as")
    stack = Stack.load()
    seconds = timedelta(minutes=minutes).total_seconds()
    made = token_for(stack.home, stack.issuer_url, *as_, seconds=seconds)
    if as_json:
        expires_at = datetime.now(UTC) + timedelta(minutes=minutes)
        print_json({"token": made, "posts": as_, "expires_at": expires_at.isoformat(timespec="seconds")})
    else:
        print(made)  # alone, to be put into a variable


def checked(posts: list[str], option: str) -> None:
    """Raises typer.BadParameter for what is no post."""
    kinds = ", ".join(ROLE_OF)
    for post in posts:
        if not is_post(post):
            raise typer.BadParameter(
                f"{post!r}: write KIND:OF, such as centre:hebin; kinds are {kinds} · 格式为 类别:所属",
                param_hint=option,
            )
