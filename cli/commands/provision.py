"""`python -m cli provision`: prepare servers that are there, once, as a job of a deployment."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.embedded.errors import SecretMissing
from cli.embedded.secrets import Secrets
from cli.stack.databases import prepare_databases
from cli.stack.provision import carry_out_erasures, provision
from cli.stack.rulebook import example_policy


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("provision", help="Prepare servers that are there · 初始化已有服务器")
    def run(
        policy: Annotated[
            Path | None, typer.Option("--policy", help="Folder of the rule book · 规则目录")
        ] = None,
    ) -> None:
        asyncio.run(_prepare(policy or example_policy()))
        Console().print("prepared · 初始化完成")


async def _prepare(policy_dir: Path) -> None:
    secret = Secrets(Path(_required("WHISTLE_SECRETS_DIR")))
    nats_url = _required("WHISTLE_NATS_URL")
    # Passwords of roles that are there stay: other processes use them.
    await prepare_databases(_administrator(), secret, reset_passwords=False)
    await provision(nats_url=nats_url, secret=secret, policy_dir=policy_dir)
    await carry_out_erasures(nats_url=nats_url, secret=secret, admin_dsn=_administrator())


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SecretMissing(f"set {name} · 请设置 {name}")
    return value


def _administrator() -> str:
    """Address of PostgreSQL for a role that may create roles and databases, itself or in a file."""
    file = os.environ.get("WHISTLE_POSTGRES_DSN_FILE")
    if file:
        return Path(file).read_text(encoding="utf-8").strip()
    return _required("WHISTLE_POSTGRES_DSN")
