"""What runs in a data folder, and how to reach it: written by the supervisor, read by every other command."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

from cli.embedded.errors import NotRunning
from cli.embedded.process import process_start
from cli.embedded.secrets import Secrets
from cli.stack.files import write_atomically

DATABASE = "whistle"
KEYRING = "departments.json"
Phase = Literal["starting", "ready", "stopping"]
_ROOT = Path(__file__).resolve().parents[2]


def repository() -> Path:
    """The checkout that this program runs from."""
    return _ROOT


def whistle_home() -> Path:
    """The data folder: `WHISTLE_HOME`, or `.whistle` in the checkout."""
    return Path(os.environ.get("WHISTLE_HOME") or _ROOT / ".whistle").absolute()


@dataclass(frozen=True, slots=True)
class Running:
    """One process of the stack; pid and start time (clock ticks since boot) together name it."""

    name: str
    pid: int
    started_at: int | None
    url: str = ""

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return self.started_at is not None and process_start(self.pid) == self.started_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running stack."""

    home: Path
    phase: Phase
    supervisor: Running
    nats_url: str
    postgres_admin_dsn: str
    """Address for the role that may create roles and databases, without its password."""
    secrets_folder: Path
    stream_replicas: int = 1
    """How many copies of each stream there are."""
    issuer_url: str = ""
    """Who says who people are: our own issuer or the city's; none where nothing asks."""
    doors: Mapping[str, int] = field(default_factory=dict)
    """The port of each further door of the log's server that is open: `mqtt`, `websocket`."""
    processes: tuple[Running, ...] = field(default=())
    restarts: Mapping[str, int] = field(default_factory=dict)
    """How often each process was started again after it died."""

    @classmethod
    def load(cls, home: Path | None = None) -> Self:
        """The stack that runs in `home` and is ready; raises NotRunning, with what to do about it."""
        stack = cls.read(home or whistle_home())
        if stack is None or not stack.supervisor.alive:
            raise NotRunning("Whistle is not running: ./whistle up · 系统未运行，请先执行 ./whistle up")
        if stack.phase != "ready":
            raise NotRunning(f"Whistle is {stack.phase}, not ready yet: ./whistle status · 系统尚未就绪")
        return stack

    @classmethod
    def read(cls, home: Path) -> Self | None:
        """What the state file says, whether or not it is still true; None if there is no readable one."""
        try:
            content: dict[str, Any] = json.loads((home / "run.json").read_text(encoding="utf-8"))
            return cls(
                home=home,
                phase=content["phase"],
                supervisor=Running(**content["supervisor"]),
                nats_url=content["nats_url"],
                postgres_admin_dsn=content["postgres_admin_dsn"],
                secrets_folder=Path(content["secrets_folder"]),
                stream_replicas=content["stream_replicas"],
                issuer_url=content["issuer_url"],
                doors=content.get("doors", {}),
                processes=tuple(Running(**process) for process in content["processes"]),
                restarts=content["restarts"],
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def save(self) -> None:
        """Write the state file."""
        content = asdict(self) | {"home": str(self.home), "secrets_folder": str(self.secrets_folder)}
        write_atomically(self.home / "run.json", json.dumps(content, indent=2))

    def secret(self, user: str) -> str:
        """The password of a user of the bus or a role of PostgreSQL; raises SecretMissing."""
        return Secrets(self.secrets_folder)(user)

    def token(self, *posts: str) -> str:
        """A token for these posts, such as `centre:hebin`; raises StackError where the issuer is none of ours."""
        from cli.tokens import token_for

        return token_for(self.home, self.issuer_url, *posts)

    @property
    def keyring(self) -> Path:
        """The file with the public keys of the departments that may sign in."""
        return self.home / KEYRING

    def department_seed_file(self, department: str) -> Path:
        """Where the secret key lies with which this machine signs in for a department, if there is one."""
        return self.secrets_folder / f"department-{quote(department, safe='')}.nk"

    def postgres_dsn(self, role: str) -> str:
        """Address of the database `whistle` for `role`, with its password; raises SecretMissing."""
        return dsn_for(self.postgres_admin_dsn, role, self.secret(role))

    def service_url(self, name: str) -> str:
        """HTTP address of a service's first replica; raises NotRunning if there is none."""
        return self.service_urls(name)[0]

    def service_urls(self, name: str) -> tuple[str, ...]:
        """HTTP addresses of all replicas of a service; raises NotRunning if there is none."""
        urls = tuple(
            p.url for p in self.processes if p.url.startswith("http") and p.name.partition("-")[0] == name
        )
        if not urls:
            raise NotRunning(f"no service {name} is running · 没有运行中的服务 {name}")
        return urls


def dsn_for(admin_dsn: str, role: str, password: str, *, database: str = DATABASE) -> str:
    """The address of the same server for another role and database."""
    parts = urlsplit(admin_dsn)
    place = parts.netloc.rpartition("@")[2]
    login = f"{quote(role, safe='')}:{quote(password, safe='')}"
    return urlunsplit((parts.scheme, f"{login}@{place}", f"/{database}", parts.query, ""))


def without_password(dsn: str) -> str:
    """The same address without its password, to be shown or stored."""
    parts = urlsplit(dsn)
    user = f"{parts.username}@" if parts.username else ""
    return urlunsplit((parts.scheme, user + parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
