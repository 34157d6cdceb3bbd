"""How the commands that speak for a department sign in: with the key of this machine, or with a file and an address."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from cli.departments.serving import seed_of
from cli.output import UsageError
from cli.stack.state import Stack
from libs.events.department import Department

CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="its code in the rule book · 部门代码")]
SeedOption = Annotated[
    Path | None,
    typer.Option(
        "--seed", help="file with its secret key, for a bus elsewhere · 密钥文件", show_default=False
    ),
]
UrlOption = Annotated[
    str | None, typer.Option("--url", help="address of that bus · 总线地址", show_default=False)
]


@asynccontextmanager
async def speaking_for(code: str, seed: Path | None, url: str | None) -> AsyncGenerator[Department]:
    """The department's connection.  Raises UsageError, SecretMissing, OSError, or what the server says."""
    if (seed is None) != (url is None):
        raise UsageError("--seed and --url belong together · --seed 与 --url 须同时给出")
    if seed is not None and url is not None:
        async with Department.connected(code, url=url, seed=seed) as department:
            yield department
        return
    stack = Stack.load()
    async with Department.connected(code, url=stack.nats_url, seed=seed_of(stack, code)) as department:
        yield department
