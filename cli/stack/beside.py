"""A service's own code at work beside the running service, in a process that a command starts and listens to."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from cli.embedded import child
from cli.stack.plan import STORE, store_location
from cli.stack.state import Stack, repository

HIDDEN: Final = ("WHISTLE_NATS_", "WHISTLE_BUS_", "WHISTLE_POSTGRES_", "WHISTLE_SECRETS_")
"""Addresses and passwords that may be the administrator's: a service gets its own."""
PYTHON: Final = (sys.executable, "-P", "-m")


def start_beside(
    stack: Stack, service: str, module: str, arguments: Sequence[str] = ()
) -> "subprocess.Popen[str]":
    """Run *module* with the rights of *service*; it writes to the pipe `stdout`."""
    # It must not go on alone when this command is killed: whoever runs it again would find it still at work.
    tied = [f"parent={os.getpid()}", f"death_signal={int(signal.SIGKILL)}"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
    own = {
        "PYTHONPATH": str(repository()),
        "WHISTLE_NATS_URL": stack.nats_url,
        "WHISTLE_NATS_USER": service,
        "WHISTLE_NATS_PASSWORD": stack.secret(service),
        "WHISTLE_STREAM_REPLICAS": str(stack.stream_replicas),
        STORE: store_location(stack.home),
        "WHISTLE_POSTGRES_DSN": stack.postgres_dsn(f"whistle_{service}"),
    }
    return subprocess.Popen(
        [sys.executable, "-I", "-S", child.__file__, *tied, "--", *PYTHON, module, *arguments],
        cwd=repository(),
        env={"WHISTLE_LOG_LEVEL": "error", **inherited, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
