"""The same with the client that comes with Whistle: signs for each case, works, and reports it handled."""

import asyncio
import os
from pathlib import Path

from libs.events.department import Department


async def work() -> None:
    code, bus, seed = os.environ["DEPARTMENT"], os.environ["BUS"], Path(os.environ["SEED"])
    async with Department.connected(code, url=bus, seed=seed) as department:
        async for case in department.cases():
            print(case.id, case.event.brief.description, flush=True)
            await case.accept()
            await case.handle("Replaced", photos=["https://water.example/after.jpg"])


asyncio.run(work())
