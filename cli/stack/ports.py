"""Ports on loopback: those asked for, those of last time, or free ones."""

import json
import random
import socket
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import typer

from cli.embedded.errors import PortTaken, StackError
from cli.stack.files import write_atomically

HOST = "127.0.0.1"
# Below the range from which the kernel takes ports for outgoing connections: one of those could sit on the
# port of a server that has to be started again.
FREE_PORTS = range(18_000, 32_000)
ATTEMPTS_MAX = 1000


def asked_ports(options: Iterable[str]) -> dict[str, int]:
    """Ports by name out of options such as `nats=4222`; raises typer.BadParameter for anything else."""
    ports: dict[str, int] = {}
    for option in options:
        name, _, number = option.partition("=")
        if not name or not number.isdigit() or not 0 < int(number) < 65_536:
            raise typer.BadParameter(f"{option}: write NAME=PORT, for example nats=4222 · 格式为 名称=端口")
        ports[name] = int(number)
    return ports


def choose_ports(remembered: Path, names: Iterable[str], asked: Mapping[str, int]) -> dict[str, int]:
    """A port for each name, remembered in a file; raises PortTaken for one asked for and in use."""
    names = tuple(names)
    if unknown := sorted(set(asked) - set(names)):
        raise StackError(f"no port is called {', '.join(unknown)}: {', '.join(names)} · 没有这个端口名称")
    last = _read(remembered)
    chosen: dict[str, int] = {}
    for name in names:
        chosen[name] = _choose(
            name, asked.get(name), last.get(name), set(chosen.values()) | set(asked.values())
        )
    write_atomically(remembered, json.dumps(last | chosen, indent=2))
    return chosen


def free_port(but: Collection[int] = ()) -> int:
    """A port that nobody uses, none of *but*, kept for this process until it ends; raises PortTaken if none is found.

    Whoever is to listen there starts seconds later. Until then nobody else who asks here must get the same port,
    and a process that was killed and starts again must find it.
    """
    for _ in range(ATTEMPTS_MAX):
        port = random.choice(FREE_PORTS)
        if port not in but and _keep(port):
            return port
    raise PortTaken("no free port on this machine · 本机没有空闲端口")


def _keep(port: int) -> bool:
    """Take a port without listening there; False if somebody has it."""
    keeping = socket.socket()
    try:
        keeping.bind((HOST, port))
    except OSError:
        keeping.close()
        return False
    # From now on whoever is to listen may bind beside it: servers set this option. Nobody else's `_keep` does.
    keeping.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeping.detach()
    return True


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _choose(name: str, asked: int | None, last: int | None, taken: set[int]) -> int:
    if asked is not None:
        if not is_free(asked):
            raise PortTaken(f"port {asked} for {name} is in use · {name} 的端口 {asked} 已被占用")
        return asked
    if last is not None and last not in taken and is_free(last):
        return last
    return free_port(taken)


def _read(remembered: Path) -> dict[str, int]:
    try:
        ports = json.loads(remembered.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): int(port) for name, port in ports.items()}
