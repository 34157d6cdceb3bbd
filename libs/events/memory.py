"""How this process treats its memory."""

import gc
from typing import Final

COLLECTOR_THRESHOLDS: Final = (20_000, 20, 20)  # new objects, then collections of the generation before


def spare_collector() -> None:
    """Have the garbage collector look more rarely, and not at what is loaded: call it when all is imported.

    It only finds cycles, of which events and rows make none, and took a fifth of the time of whoever reads or
    writes many; all else is freed at once in any case.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
