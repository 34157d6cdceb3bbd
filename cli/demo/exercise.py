"""Where invented cases may be played: in the example city alone, never in a real one."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cli.embedded.errors import StackError
from cli.stack.rulebook import example_policy, provision
from libs.events.errors import LogRefused, NotProvisioned
from libs.events.jetstream import Code, JetStream, connected
from libs.events.policy import RuleBook, current, load

READER: Final = "auditor"


class NotTheExample(StackError):
    """The rule book in force is not that of the example city."""


async def rule_book(nats_url: str, secret: Callable[[str], str]) -> RuleBook:
    """The rule book in force.  Raises NotTheExample, NotProvisioned when there is none, LogUnavailable."""
    async with connected(nats_url, user=READER, password=secret(READER)) as client:
        book = await current(JetStream(client))
    example = load(example_policy())
    if book.city.code != example.city.code or book.city.time_lapse <= 1:
        city = f"{book.city.name.en} · {book.city.name.zh}"
        raise NotTheExample(
            f"the rule book in force is that of {city}, not of the example city: nothing is invented there;"
            " give the demo a folder of its own with WHISTLE_HOME"
            " · 当前规则不属于示例城市，演示不会写入；请用 WHISTLE_HOME 另设数据文件夹"
        )
    return book


async def provision_example(
    *, nats_url: str, secret: Callable[[str], str], policy_dir: Path, admin_dsn: str
) -> None:
    """Make streams and publish the example, unless another city's rules are in force.  Raises NotTheExample."""
    try:
        await rule_book(nats_url, secret)
    except NotProvisioned:
        pass  # nothing was ever published
    except LogRefused as error:
        if error.code != Code.STREAM_NOT_FOUND:
            raise
    await provision(nats_url=nats_url, secret=secret, policy_dir=policy_dir, admin_dsn=admin_dsn)
