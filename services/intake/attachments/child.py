"""Work on a stranger's bytes in a process of its own: fed by stdin, bounded in time, without our environment."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

ENVIRONMENT: Final = ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
"""What such a process gets of ours: how to find programs, and no password."""


class Ended(NamedTuple):
    """How it ended; *code* is negative for a signal, None when it took too long."""

    code: int | None
    output: bytes


async def run(argv: Sequence[str], fed: bytes, seconds_max: float) -> Ended:
    """What the program makes of *fed*.  Raises OSError when it cannot be started; never outlives the caller."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    )
    try:
        async with asyncio.timeout(seconds_max):
            output, _ = await process.communicate(fed)
    except TimeoutError:
        return Ended(None, b"")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return Ended(process.returncode, output)
