"""What the figures were measured on.  No host name, no path, nobody's name."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import asyncpg

from bench.arena import Arena
from bench.figures import percentile

SYNC_PROBES: Final = 200
SYNC_PROBE_BYTES: Final = 4_096
PACKAGES: Final = (
    "nats-py", "asyncpg", "pydantic", "orjson", "uvloop", "eventsourcing", "psycopg",
)  # fmt: skip


async def facts(arena: Arena, folder: Path) -> dict[str, Any]:
    """Processor, memory, disk and versions."""
    async with arena.connection("auditor") as client:
        nats_server = str(client.connected_server_version).strip("<>").rpartition("v")[2]
    connection = await asyncpg.connect(arena.postgres_dsn())
    try:
        postgresql = str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _first_value("/proc/cpuinfo", "model name"),
        "memory_gib": round(int(_first_value("/proc/meminfo", "MemTotal").split()[0]) / 1024**2, 1),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        "disk_sync_ms_p50": round(_sync_ms(folder), 3),
        "versions": {
            "python": platform.python_version(),
            "nats-server": nats_server,
            "postgresql": postgresql,
            **{package: version(package) for package in PACKAGES},
        },
    }


def resident_mb(pid: int, *, peak: bool = False) -> float:
    """The memory that a process has in use at this moment, or had at most, in megabytes (10^6 bytes)."""
    name = "VmHWM" if peak else "VmRSS"
    return int(_first_value(f"/proc/{pid}/status", name).split()[0]) * 1024 / 1e6


def _first_value(file: str, name: str) -> str:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0 unknown"


def _sync_ms(folder: Path) -> float:
    """How long one small write takes until it is on the disk: all durable figures stand on this one."""
    taken: list[float] = []
    with (folder / "sync-probe").open("wb", buffering=0) as file:
        for _ in range(SYNC_PROBES):
            started = time.perf_counter()
            file.write(b"x" * SYNC_PROBE_BYTES)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
    return percentile(taken, 0.5)
