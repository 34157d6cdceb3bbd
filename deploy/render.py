"""Write `nats/accounts.conf` anew: who may do what on the bus, with the public keys of the departments.

    python deploy/render.py                                # no department yet
    python deploy/render.py --keys ourtown/departments.json --output ourtown/accounts.conf
    python deploy/render.py --restoring --output ourtown/accounts.conf   # while a log is restored, and no longer

`./whistle department` does the same whenever it changes a key. Each password is a variable, which
`nats-passwords.conf` (make_secrets.py) gives its value.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cli.departments.deployment import render  # noqa: E402 - found through the line above
from cli.departments.keyring import load  # noqa: E402 - the same

KEYS = ROOT / "deploy" / "nats" / "departments.json"
ACCOUNTS = ROOT / "deploy" / "nats" / "accounts.conf"


def main() -> int:
    """Read the command line and write the file; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the accounts of the log's servers.")
    parser.add_argument("--keys", type=Path, default=KEYS, help="the file of the departments' public keys")
    parser.add_argument("--output", type=Path, default=ACCOUNTS, help="the file to write")
    parser.add_argument("--restoring", action="store_true", help="with the user that fills an empty log")
    arguments = parser.parse_args()
    keyring = load(arguments.keys)
    tokens = (keyring.by_token(), keyring.sensor_tokens(), keyring.room_tokens())
    accounts = render(*tokens, restoring=arguments.restoring)
    arguments.output.write_text(accounts, encoding="utf-8")
    print(f"wrote {arguments.output}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
