"""`./whistle audit`: take evidence away, and check it where nobody has to be trusted."""

import asyncio
from typing import Annotated

import typer

from cli.auditing.comparing import compare_
from cli.auditing.exporting import export_
from cli.auditing.places import StoreOption, location_of, store_of
from cli.auditing.proving import prove_
from cli.auditing.verifying import verify_
from cli.output import UsageError
from libs.events.ledger.archive import PUBLIC_KEY


def register(app: typer.Typer) -> None:
    """Add the commands."""
    audit = typer.Typer(
        help="Proof that nothing was changed · 审计：导出、验证、证明、比对", no_args_is_help=True
    )
    audit.command("export", help="Take events away with their proof · 导出事件及其证明")(export_)
    audit.command("verify", help="Check an export, a proof or sealed files, offline · 离线验证")(verify_)
    audit.command("prove", help="The proof of one event, or of a case's · 单条事件的证明")(prove_)
    audit.command("compare", help="Log against sealed files, read models against log · 比对")(compare_)
    audit.command("key", help="The public key of the sealed files · 封存文件的公钥")(key)
    app.add_typer(audit, name="audit")


def key(store: Annotated[str | None, StoreOption] = None) -> None:
    """Print the public key that came with the sealed files; give it to auditors by another way · 打印公钥."""
    location = location_of(store)
    content = asyncio.run(store_of(location).get(PUBLIC_KEY))
    if content is None:
        raise UsageError(f"{location} has no {PUBLIC_KEY} yet: nothing was sealed · 尚无公钥")
    typer.echo(content.decode().strip())
