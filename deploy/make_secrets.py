"""Make the passwords of one installation: a file for each user, and what is put together from them.

    python deploy/make_secrets.py --dir .whistle/compose-secrets

Standard library only. A file that is there stays as it is, so that running it again, for a new department say, adds
what is missing and breaks nothing.
"""

import argparse
import re
import secrets
import sys
from pathlib import Path

ACCOUNTS = Path(__file__).parent / "nats" / "accounts.conf"
SECRET_BYTES = 24
SERVICES = ("intake", "dispatch", "evaluation", "notify")
VAULT_ROLES = ("whistle_vault_sealer", "whistle_vault_opener", "whistle_vault_keeper")
DATABASE = "whistle"
# As Compose and Kubernetes both name them; the port is that of the block `cluster` in nats.conf.
LOG_SERVERS = ("nats-0.nats", "nats-1.nats", "nats-2.nats")
ROUTE_PORT = 6222
POSTGRES_PORT = 5432
# Between the log's servers, for PostgreSQL's superuser, what tracking numbers are computed with, what people's keys are
# wrapped for, and what people are found with.
OTHER_SECRETS = ("route", "postgres", "tracking", "vault-master", "vault-index")

_USER = re.compile(r'user: "([^"]+)", password: \$([A-Z][A-Z0-9_]*)')


def variables_of(accounts: str) -> dict[str, str]:
    """The users of an accounts file and the variable that stands for each one's password there."""
    return dict(_USER.findall(accounts)) | {"route": "WHISTLE_PASSWORD_ROUTE"}


def make_secrets(folder: Path, accounts: str, postgres_host: str) -> None:
    """Write what is missing into `folder`, and anew what is derived from it."""
    folder.mkdir(parents=True, exist_ok=True)
    # The folder keeps others out. The files in it are readable, since Compose mounts them one by one, as they are, for
    # a user in the container who is not the one that made them.
    folder.chmod(0o700)
    variables = variables_of(accounts)
    roles = (*map(_role, SERVICES), *VAULT_ROLES)
    for user in (*variables, *OTHER_SECRETS, *roles):
        if not (folder / user).exists():
            # A letter in front: read as a value of nats-server's configuration, plain digits would be a number.
            _write(folder / user, "w" + secrets.token_hex(SECRET_BYTES))
    _write(folder / "nats-passwords.conf", _passwords_conf(folder, variables))
    _write(folder / "postgres.dsn", _dsn(folder, "postgres", "postgres", postgres_host))
    for role in roles:
        _write(folder / f"{role}.dsn", _dsn(folder, role, DATABASE, postgres_host))


def _role(service: str) -> str:
    return f"whistle_{service}"


def _passwords_conf(folder: Path, variables: dict[str, str]) -> str:
    password = (folder / "route").read_text()
    routes = ", ".join(f'"nats://route:{password}@{server}:{ROUTE_PORT}"' for server in LOG_SERVERS)
    lines = [f'{variable}: "{(folder / user).read_text()}"' for user, variable in variables.items()]
    return "\n".join((*lines, f"WHISTLE_ROUTES: [{routes}]", ""))


def _dsn(folder: Path, role: str, database: str, host: str) -> str:
    return f"postgresql://{role}:{(folder / role).read_text()}@{host}:{POSTGRES_PORT}/{database}"


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(text, encoding="ascii")
    unfinished.chmod(0o644)
    unfinished.replace(path)


def main() -> int:
    """Read the command line and do it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the passwords of one installation.")
    parser.add_argument(
        "--dir", type=Path, required=True, help="folder for the files; one for each installation"
    )
    parser.add_argument("--accounts", type=Path, default=ACCOUNTS, help="the accounts of the log's servers")
    parser.add_argument("--postgres-host", default="postgres", help="where the services find PostgreSQL")
    arguments = parser.parse_args()
    make_secrets(arguments.dir, arguments.accounts.read_text(encoding="utf-8"), arguments.postgres_host)
    print(f"passwords in {arguments.dir}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
