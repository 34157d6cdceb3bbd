"""Named points in ordinary code where a test may end the process.  Silent unless `WHISTLE_FAULTS` asks.

`WHISTLE_FAULTS=commit.before_batch=0.01,consume.committed=0.002` kills the process with SIGKILL at those points
with those probabilities; `WHISTLE_FAULTS_SEED` makes the choice repeatable. Whoever starts processes gives each start
a seed of its own: with one for all they would die together, and each again at the same step after every restart.
"""

import os
import random
import signal
from typing import Final

POINTS: Final = frozenset(
    {"acts.carried_out", "acts.refused", "commit.before_batch", "consume.before_commit", "consume.committed"}
    | {"restore.written", "restore.finishing"}
    | {
        "ledger.tiles_kept",
        "ledger.sealed",
        "ledger.joined",
        "ledger.signed",
        "ledger.published",
        "ledger.kept",
    }
    | {"ledger.witnessed"}
    | {"person.ordered", "vault.erased", "person.erased"}
    | {"notify.told", "notify.planned", "notify.before_send", "notify.sent", "notify.recorded"}
)


def _asked(text: str) -> dict[str, float]:
    pairs = (part.partition("=") for part in text.split(",") if part)
    asked = {name: float(probability) for name, _, probability in pairs}
    unknown = asked.keys() - POINTS
    if unknown:
        raise ValueError(f"no such fault point: {', '.join(sorted(unknown))}")
    return asked


_ASKED: Final = _asked(os.environ.get("WHISTLE_FAULTS", ""))
_CHANCE: Final = random.Random(os.environ.get("WHISTLE_FAULTS_SEED"))


async def reach(point: str) -> None:
    """Say that the code has come to *point*; with the probability that was asked for, die here."""
    if _ASKED and _CHANCE.random() < _ASKED.get(point, 0.0):
        os.kill(os.getpid(), signal.SIGKILL)
