"""The supervisor as a process of its own, behind `whistle up`.

    python -m cli.stack.daemon REPORT_DESCRIPTOR < arguments.json

It tells what happens as JSON lines on the given descriptor: {"step": text}, and at last {"ready": true},
{"already_running": true} or {"failed": text}. It ends on SIGTERM, when everything it started has ended.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cli.embedded.errors import AlreadyRunning, StackError
from cli.stack.plan import StackPlan
from cli.stack.rulebook import provision
from cli.stack.state import repository
from cli.stack.supervisor import Supervisor

MakePlan = Callable[[dict[str, Any]], StackPlan]


def main(make_plan: MakePlan) -> None:
    """Run the stack of `make_plan(arguments)` until told to stop; ends the process."""
    # Not in the folder of whoever called, which may be removed.
    os.chdir(repository())
    arguments: dict[str, Any] = json.load(sys.stdin)
    sys.exit(asyncio.run(_run(lambda: make_plan(arguments), int(sys.argv[1]))))


async def _run(make_plan: Callable[[], StackPlan], descriptor: int) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)

    def tell(**line: object) -> None:
        # The one who asked may have gone away.
        with suppress(OSError):
            os.write(descriptor, (json.dumps(line) + "\n").encode())

    try:
        supervisor = Supervisor(make_plan(), lambda step: tell(step=step))
        if not await _start(supervisor, stopped):
            return 0
    except AlreadyRunning:
        tell(already_running=True)
        return 0
    except Exception as error:  # whatever it is, the one who waits must hear of it
        traceback.print_exc()
        tell(failed=str(error) if isinstance(error, StackError) else f"{type(error).__name__}: {error}")
        return 1
    tell(ready=True)
    os.close(descriptor)
    await stopped.wait()
    await supervisor.stop()
    return 0


async def _start(supervisor: Supervisor, stopped: asyncio.Event) -> bool:
    """True when it is up, False when it was told to stop before that."""
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return False
    stopping.cancel()
    await starting
    return True


def _plan(arguments: dict[str, Any]) -> StackPlan:
    policy_dir = Path(arguments["policy_dir"])
    return StackPlan.from_environment(
        home=Path(arguments["home"]),
        policy_dir=policy_dir,
        provision=provision,
        replicas=arguments["replicas"],
        asked_ports=arguments["ports"],
    )


if __name__ == "__main__":
    main(_plan)
