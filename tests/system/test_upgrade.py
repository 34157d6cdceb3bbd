"""New code with another schema builds its read models beside the old ones when it starts: nobody has to be told."""

from dataclasses import replace

import asyncpg
import httpx
import pytest

from cli.stack.state import Stack
from libs.events.errors import SchemaMismatch
from libs.events.projecting import projecting_on
from libs.events.runtime import on_bus
from libs.events.settings import ServiceSettings
from services.evaluation.views import MODEL
from tests.support.signing import Signing
from tests.support.stack import eventually

OLDER = "UPDATE {service}.generations SET schema_digest = 'older' WHERE active"
ACTIVE = "SELECT generation FROM {service}.generations WHERE active"
DIGEST = "SELECT schema_digest FROM {service}.generations WHERE active"


async def _report(stack: Stack, http: httpx.AsyncClient) -> str:
    body = {"category": "1401", "description": "水管破裂", "place": {"community": "liuyuan"}}
    answer = await http.post(f"{stack.service_url('intake')}/cases", json=body)
    return str(answer.raise_for_status().json()["case_id"])


@pytest.mark.parametrize(
    "service", ["evaluation", pytest.param("dispatch", marks=pytest.mark.full), "notify"]
)
async def test_read_models_of_older_code_are_built_anew_at_the_start(stack: Stack, service: str) -> None:
    async with httpx.AsyncClient(auth=Signing(stack), timeout=60) as http:

        async def knows(case_id: str) -> bool:
            try:
                answer = await http.get(f"{stack.service_url('evaluation')}/cases/{case_id}")
                queue = await http.get(f"{stack.service_url('dispatch')}/departments/water/cases")
            except httpx.TransportError:
                return False  # being started again
            queued = queue.status_code == 200 and case_id in {case["case_id"] for case in queue.json()}
            return queued and answer.status_code == 200 and answer.json()["department"] == "water"

        before = await _report(stack, http)
        await eventually(lambda: knows(before))
        database = await asyncpg.connect(stack.postgres_dsn(f"whistle_{service}"))
        try:
            old = await database.fetchval(ACTIVE.format(service=service))
            digest = await database.fetchval(DIGEST.format(service=service))
            await database.execute(OLDER.format(service=service))
            # The code that runs now is not that of the tables: its next write ends it, and the start repairs them.
            after = await _report(stack, http)
            await eventually(lambda: knows(after))

            async def repaired() -> bool:
                return bool(await database.fetchval(DIGEST.format(service=service)) == digest)

            await eventually(repaired)
            new = await database.fetchval(ACTIVE.format(service=service))
        finally:
            await database.close()
        assert new > old
        await eventually(lambda: knows(before))  # what was known before is known now


def _settings(stack: Stack, *, accept_differences: bool) -> ServiceSettings:
    return ServiceSettings.model_validate(
        {
            "nats_url": stack.nats_url,
            "nats_user": "evaluation",
            "nats_password": stack.secret("evaluation"),
            "postgres_dsn": stack.postgres_dsn("whistle_evaluation"),
            "accept_differences": accept_differences,
        }
    )


async def test_read_models_that_would_say_something_else_wait_for_a_person(stack: Stack) -> None:
    model = replace(MODEL, service="upgraded")  # beside the evaluation that runs, which must not stop
    schema_of = model.schema_name

    async def start(*, accept_differences: bool = False) -> None:
        settings = _settings(stack, accept_differences=accept_differences)
        async with on_bus(settings, ()) as bus, projecting_on(bus, model, settings, ()):
            pass

    async with httpx.AsyncClient(auth=Signing(stack), timeout=60) as http:
        case_id = await _report(stack, http)
    database = await asyncpg.connect(stack.postgres_dsn("whistle_evaluation"))
    try:
        await start()
        await database.execute(OLDER.format(service=model.service))
        await start()  # fills the tables from the log
        filled = await database.fetchval(ACTIVE.format(service=model.service))
        changed = f"UPDATE {schema_of(filled)}.cases SET channel = 'changed' WHERE case_id = $1"
        assert await database.execute(changed, case_id) == "UPDATE 1"
        await database.execute(OLDER.format(service=model.service))

        with pytest.raises(SchemaMismatch, match="WHISTLE_ACCEPT_DIFFERENCES"):
            await start()
        assert await database.fetchval(ACTIVE.format(service=model.service)) == filled, "the old ones stay"

        await start(accept_differences=True)
        active = await database.fetchval(ACTIVE.format(service=model.service))
        channel = f"SELECT channel FROM {schema_of(active)}.cases WHERE case_id = $1"
        assert await database.fetchval(channel, case_id) == "web"
    finally:
        await database.close()
