"""What a stack consists of: where its data lies, which servers are its own, which services run."""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, Self

from cli.embedded.accounts import user_names
from cli.embedded.errors import SecretMissing, StackError
from cli.embedded.postgres import SUPERUSER
from cli.stack.databases import ROLES, VAULT_MASTER, VAULT_ROLES
from cli.stack.ledger_key import LEDGER_KEY
from cli.stack.state import Stack, dsn_for, repository, whistle_home

DOORS = ("mqtt", "websocket")
PORTS = 65_536
TRACKING_SECRET = "tracking"  # noqa: S105  # the name of one
VAULT_INDEX = "vault-index"
LIMIT = "WHISTLE_PUBLIC_REQUESTS_PER_MINUTE"
# On loopback everybody has the same address, and an exercise is a whole city.
LOOPBACK_REQUESTS_PER_MINUTE = 1_000_000
CHECKPOINT_SECONDS = "5"
# On a machine to try things, whoever asks for a proof does not want to wait a minute.
STORE = "WHISTLE_LEDGER_STORE"


class Provision(Protocol):
    """Makes streams and consumers, publishes the rule book and carries out erasures on record; may be repeated."""

    def __call__(
        self, *, nats_url: str, secret: Callable[[str], str], policy_dir: Path, admin_dsn: str
    ) -> Awaitable[None]:
        """Raises libs.events.errors.WhistleError if what is there differs from what is declared.

        *admin_dsn* is the address of the prepared PostgreSQL for its administrator.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service as a process of its own, in any number of replicas."""

    name: str
    argv: tuple[str, ...] = ()
    """What to run; empty: `python -m services.<name>.main`."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Further variables of its environment, each with the name of the secret that it holds."""
    bus_user: str = ""
    vault: Literal["", "sealer", "opener"] = ""
    """What it may do with personal data."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further variables of its environment, where whoever starts the stack says nothing else."""
    database: bool = True
    """Whether it keeps anything in PostgreSQL."""
    may_refuse: bool = False
    """Whether it may be alive and, for a reason that a person must see, never ready: the others run all the same."""
    replicas: int = 1

    @property
    def role(self) -> str:
        """Its role in PostgreSQL."""
        return f"whistle_{self.name}"

    @property
    def command(self) -> tuple[str, ...]:
        """The command line of one replica."""
        return self.argv or (sys.executable, "-P", "-m", f"services.{self.name}.main")

    def replica_names(self) -> tuple[str, ...]:
        """`intake`, `intake-2`, `intake-3` ..."""
        return tuple(
            self.name if number == 1 else f"{self.name}-{number}" for number in range(1, self.replicas + 1)
        )


def services(replicas: int = 1) -> tuple[Service, ...]:
    """The services of Whistle."""
    return (
        Service(
            name="intake",
            bus_user="intake-bus",
            secrets={"WHISTLE_TRACKING_SECRET": TRACKING_SECRET, "WHISTLE_VAULT_INDEX_SECRET": VAULT_INDEX},
            vault="sealer",
            replicas=replicas,
        ),
        Service(name="dispatch", bus_user="dispatch-bus", replicas=replicas),
        Service(name="evaluation", replicas=replicas),
        Service(name="notify", vault="opener", replicas=replicas),
        Service(
            name="ledger",
            secrets={"WHISTLE_LEDGER_KEY": LEDGER_KEY},
            settings={"WHISTLE_LEDGER_CHECKPOINT_SECONDS": CHECKPOINT_SECONDS},
            database=False,
            may_refuse=True,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """Everything that a supervisor needs to know; an empty address means: start that server here."""

    home: Path
    policy_dir: Path
    provision: Provision
    services: tuple[Service, ...]
    asked_ports: Mapping[str, int] = field(default_factory=dict)
    nats_url: str = ""
    postgres_dsn: str = ""
    doors: tuple[str, ...] = ()
    """Further doors of the log's server that are opened: `mqtt`, `websocket`."""
    stream_replicas: int = 1
    """How many copies of each stream there are."""
    secrets_folder: Path
    oidc_issuer: str = ""
    """Who says who people are; empty: a small issuer is started here."""

    @classmethod
    def from_environment(
        cls,
        *,
        policy_dir: Path,
        provision: Provision,
        home: Path | None = None,
        replicas: int = 1,
        asked_ports: Mapping[str, int] | None = None,
    ) -> Self:
        """The plan of this machine; raises SecretMissing for somebody else's servers without passwords."""
        home = home or whistle_home()
        nats_url = os.environ.get("WHISTLE_NATS_URL", "")
        folder = os.environ.get("WHISTLE_SECRETS_DIR", "")
        if nats_url and not folder:
            raise SecretMissing(
                "WHISTLE_NATS_URL names a server that is not ours: set WHISTLE_SECRETS_DIR to a folder with"
                " one file per user · 使用外部 NATS 时，请用 WHISTLE_SECRETS_DIR 指定密码文件夹"
            )
        doors = _doors_asked()
        return cls(
            home=home,
            policy_dir=policy_dir,
            provision=provision,
            services=services(replicas),
            asked_ports={**{name: port for name, port in doors.items() if port}, **(asked_ports or {})},
            doors=() if nats_url else tuple(doors),
            nats_url=nats_url,
            postgres_dsn=os.environ.get("WHISTLE_POSTGRES_DSN", ""),
            stream_replicas=int(os.environ.get("WHISTLE_STREAM_REPLICAS") or 1),
            secrets_folder=Path(folder).absolute() if folder else home / "secrets",
            oidc_issuer=os.environ.get("WHISTLE_OIDC_ISSUER", ""),
        )

    @property
    def owns_secrets(self) -> bool:
        """Whether passwords may be made here; otherwise they are given."""
        return self.secrets_folder == self.home / "secrets"

    def secret_names(self) -> tuple[str, ...]:
        """Everybody who needs a password."""
        return (
            *user_names(),
            *ROLES,
            *VAULT_ROLES,
            SUPERUSER,
            TRACKING_SECRET,
            VAULT_MASTER,
            VAULT_INDEX,
        )

    def port_names(self) -> tuple[str, ...]:
        """What needs a port: the servers that are started here, and each replica of each service."""
        servers = [
            name
            for name, address in (
                ("nats", self.nats_url),
                ("postgres", self.postgres_dsn),
                ("issuer", self.oidc_issuer),
            )
            if not address
        ]
        return (
            *servers,
            *self.doors,
            *(replica for service in self.services for replica in service.replica_names()),
        )


def _doors_asked() -> dict[str, int]:
    """The doors that settings open, each with its port; 0 takes a free one.  Raises StackError."""
    found: dict[str, int] = {}
    for name in DOORS:
        variable = f"WHISTLE_NATS_{name.upper()}_PORT"
        text = os.environ.get(variable, "")
        if not text:
            continue
        if not text.isdigit() or int(text) >= PORTS:
            raise StackError(
                f"{variable}={text} is no port: 0 takes a free one · 不是有效端口；填 0 则任选空闲端口"
            )
        found[name] = int(text)
    return found


def with_fault_seed(environment: Mapping[str, str], name: str, deaths: int) -> dict[str, str]:
    """The environment of one start: where deaths are seeded, each start meets others than the one before."""
    seed = environment.get("WHISTLE_FAULTS_SEED")
    own = {"WHISTLE_FAULTS_SEED": f"{seed}/{name}/{deaths}"} if seed else {}
    return {**environment, **own}


def store_location(home: Path) -> str:
    """Where the ledger keeps its files: where WHISTLE_LEDGER_STORE says, or in the data folder."""
    return os.environ.get(STORE) or str(home / "ledger")


def service_environment(
    service: Service, *, plan: StackPlan, port: int, stack: Stack, secret: Callable[[str], str]
) -> dict[str, str]:
    """The environment of one replica: ours without the servers', and its own addresses and passwords."""
    # Root's secrets folder and the administrator's addresses are none of a service's business.
    hidden = (
        "WHISTLE_NATS_",
        "WHISTLE_BUS_",
        "WHISTLE_POSTGRES_",
        "WHISTLE_HTTP_",
        "WHISTLE_SECRETS_",
        "WHISTLE_TOKEN",
        "WHISTLE_VAULT_",
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    bus = (
        {"WHISTLE_BUS_USER": service.bus_user, "WHISTLE_BUS_PASSWORD": secret(service.bus_user)}
        if service.bus_user
        else {}
    )
    database = (
        {"WHISTLE_POSTGRES_DSN": dsn_for(stack.postgres_admin_dsn, service.role, secret(service.role))}
        if service.database
        else {}
    )
    return {
        **service.settings,
        **inherited,
        **bus,
        **database,
        **_vault_environment(service, plan=plan, stack=stack, secret=secret),
        **{variable: secret(name) for variable, name in service.secrets.items()},
        "PYTHONPATH": str(repository()),
        "PYTHONUNBUFFERED": "1",
        "WHISTLE_HOME": str(plan.home),
        "WHISTLE_NATS_URL": stack.nats_url,
        "WHISTLE_NATS_USER": service.name,
        "WHISTLE_NATS_PASSWORD": secret(service.name),
        STORE: store_location(plan.home),
        "WHISTLE_OIDC_ISSUER": stack.issuer_url,
        "WHISTLE_HTTP_HOST": "127.0.0.1",
        "WHISTLE_HTTP_PORT": str(port),
        LIMIT: inherited.get(LIMIT, str(LOOPBACK_REQUESTS_PER_MINUTE)),
    }


def _vault_environment(
    service: Service, *, plan: StackPlan, stack: Stack, secret: Callable[[str], str]
) -> dict[str, str]:
    """The master key itself only for who opens, and as a file: it may be replaced while the service runs."""
    if not service.vault:
        return {}
    role = f"whistle_vault_{service.vault}"
    return {
        "WHISTLE_VAULT_DSN": dsn_for(stack.postgres_admin_dsn, role, secret(role)),
        **(
            {"WHISTLE_VAULT_MASTER_FILE": str(plan.secrets_folder / VAULT_MASTER)}
            if service.vault == "opener"
            else {}
        ),
    }
