"""Make the passwords of one installation: a file for each user, and what is put together from them.

    python deploy/make_secrets.py --dir .whistle/compose-secrets

Standard library only. A file that is there stays as it is, so that running it again, for a new department say, adds
what is missing and breaks nothing.
"""

import argparse
import os
import re
import secrets
import sys
from base64 import b64encode
from hashlib import sha256, sha512
from pathlib import Path
from typing import Final

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
LEDGER_KEY = "ledger-key"
OTHER_SECRETS = ("route", "postgres", "tracking", "vault-master", "vault-index")

_USER = re.compile(r'user: "([^"]+)", password: \$([A-Z][A-Z0-9_]*)')


def variables_of(accounts: str) -> dict[str, str]:
    """The users of an accounts file and the variable that stands for each one's password there."""
    return dict(_USER.findall(accounts)) | {"route": "WHISTLE_PASSWORD_ROUTE"}


def make_secrets(folder: Path, accounts: str, postgres_host: str, ledger_name: str = "") -> None:
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
    if not (folder / LEDGER_KEY).exists():
        _write(folder / LEDGER_KEY, new_ledger_key(ledger_name or f"whistle-{secrets.token_hex(4)}"))
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


# The ledger's signing key. Only its id needs arithmetic: the public half (RFC 8032, 5.1.5), worked out once, on the
# operator's own machine, so it need not be safe against whoever measures its time.

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_BASE_Y: Final = 4 * pow(5, -1, _P) % _P
_ED25519: Final = b"\x01"

Point = tuple[int, int]


def new_ledger_key(name: str) -> str:
    """A fresh private key called *name*, in the form of `libs/events/ledger/notes.py`."""
    return secret_of(name, secrets.token_bytes(32))


def secret_of(name: str, seed: bytes) -> str:
    """The text of the private key with this seed.  Raises ValueError for a name with blanks or `+`."""
    if not name or "+" in name or any(each.isspace() for each in name):
        raise ValueError(f"a key cannot be called {name!r}: no blanks and no +")
    key_id = sha256(f"{name}\n".encode() + _ED25519 + public_of(seed)).hexdigest()[:8]
    return f"PRIVATE+KEY+{name}+{key_id}+{b64encode(_ED25519 + seed).decode()}"


def public_of(seed: bytes) -> bytes:
    """The public key of a seed."""
    digest = bytearray(sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    x, y = _times(int.from_bytes(digest, "little"), (_x_of(_BASE_Y), _BASE_Y))
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _x_of(y: int) -> int:
    """The even root (5.1.3)."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    return _P - x if x & 1 else x


def _times(scalar: int, point: Point) -> Point:
    found: Point = (0, 1)
    while scalar:
        if scalar & 1:
            found = _added(found, point)
        point, scalar = _added(point, point), scalar >> 1
    return found


def _added(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = _D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, _P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, _P)
    return x % _P, y % _P


# The command line.


def main() -> int:
    """Read the command line and do it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the passwords of one installation.")
    parser.add_argument(
        "--dir", type=Path, required=True, help="folder for the files; one for each installation"
    )
    parser.add_argument("--accounts", type=Path, default=ACCOUNTS, help="the accounts of the log's servers")
    parser.add_argument("--postgres-host", default="postgres", help="where the services find PostgreSQL")
    parser.add_argument(
        "--ledger-name",
        default=os.environ.get("WHISTLE_LEDGER_NAME", ""),
        help="what the ledger's key is called, for good: a name of this installation, such as its domain",
    )
    arguments = parser.parse_args()
    accounts = arguments.accounts.read_text(encoding="utf-8")
    make_secrets(arguments.dir, accounts, arguments.postgres_host, arguments.ledger_name)
    print(f"passwords in {arguments.dir}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
