"""The commands `up`, `down` and `status`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cli.output import console
from cli.stack.background import UpRequest
from cli.stack.background import down as stop_stack
from cli.stack.background import up as start_stack
from cli.stack.ports import asked_ports
from cli.stack.readiness import is_ready
from cli.stack.rulebook import example_policy
from cli.stack.state import Running, Stack, whistle_home

EXIT_NOT_RUNNING = 3

PortOption = Annotated[
    list[str] | None,
    typer.Option("--port", metavar="NAME=PORT", help="a port of your choice, repeatable · 指定端口"),
]
PolicyOption = Annotated[Path | None, typer.Option("--policy", help="folder of the rule book · 规则目录")]
ReplicasOption = Annotated[
    int, typer.Option("--replicas", min=1, max=9, help="of each service · 每个服务的副本数")
]
JsonOption = Annotated[bool, typer.Option("--json", help="for programs · 机器可读")]


def up(port: PortOption = None, policy: PolicyOption = None, replicas: ReplicasOption = 1) -> None:
    """Start the servers and services in the background · 在后台启动全部服务."""
    request = UpRequest(
        home=whistle_home(),
        policy_dir=(policy or example_policy()).absolute(),
        replicas=replicas,
        ports=asked_ports(port or []),
    )
    progress = Console(stderr=True)
    stack = asyncio.run(start_stack(request, lambda step: progress.print(f"  {step}", style="dim")))
    _print(stack, asyncio.run(_readiness(stack)))


def down() -> None:
    """Stop everything that `up` started · 停止全部服务."""
    if asyncio.run(stop_stack(whistle_home())):
        typer.echo("stopped · 已停止")
    else:
        typer.echo("nothing was running · 没有运行中的服务")


def status(as_json: JsonOption = False) -> None:
    """Show what runs, where, and whether it is ready · 查看运行状态."""
    home = whistle_home()
    stack = Stack.read(home)
    if stack is None or not stack.supervisor.alive:
        if as_json:
            typer.echo(json.dumps({"phase": "stopped", "home": str(home), "processes": []}))
            raise typer.Exit(EXIT_NOT_RUNNING)
        stack = Stack.load(home)  # says what to do
    ready = asyncio.run(_readiness(stack))
    if as_json:
        typer.echo(json.dumps(_description(stack, ready), indent=2))
    else:
        _print(stack, ready)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (up, down, status):
        app.command()(command)


async def _readiness(stack: Stack) -> dict[str, bool]:
    async def one(process: Running) -> bool:
        return process.alive and (not process.url.startswith("http") or await is_ready(process.url))

    answers = await asyncio.gather(*(one(process) for process in stack.processes))
    return {process.name: ready for process, ready in zip(stack.processes, answers, strict=True)}


def _description(stack: Stack, ready: dict[str, bool]) -> dict[str, Any]:
    processes = [
        {
            "name": process.name,
            "pid": process.pid,
            "url": process.url,
            "ready": ready[process.name],
            "restarts": stack.restarts.get(process.name, 0),
        }
        for process in stack.processes
    ]
    return {
        "phase": stack.phase,
        "home": str(stack.home),
        "supervisor_pid": stack.supervisor.pid,
        "nats_url": stack.nats_url,
        "doors": dict(stack.doors),
        "postgres_dsn": stack.postgres_admin_dsn,
        "processes": processes,
    }


def _print(stack: Stack, ready: dict[str, bool]) -> None:
    table = Table(title=f"Whistle · {stack.phase}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("process 进程", "pid", "address 地址", "ready 就绪", "restarts 重启"):
        table.add_column(heading, no_wrap=True)
    for process in stack.processes:
        restarts = str(stack.restarts.get(process.name, 0))
        state = "[green]yes[/]" if ready[process.name] else "[red]no[/]"
        address = process.url.rpartition("@")[2]
        table.add_row(process.name, str(process.pid), address.removesuffix("/postgres"), state, restarts)
    console().print(table)
    for door, port in stack.doors.items():
        console().print(f"  {door}: 127.0.0.1:{port}")
