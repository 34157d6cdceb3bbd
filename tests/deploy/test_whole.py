"""What the Compose file declares, run here without containers: its commands, variables and secrets, on its log.

What is not the same: the addresses of the servers, since three of them share this machine.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import pytest_asyncio

from cli.embedded.postgres import PostgresServer
from cli.stack.ports import HOST, free_port

from .cluster import Cluster, until
from .manifests import ROOT, SERVICES, Object, compose_container, environment_below, mount

pytestmark = pytest.mark.asyncio(loop_scope="module")
STOP_SECONDS_MAX = 60.0
PROVISION_SECONDS_MAX = 180.0
ANSWER_SECONDS_MAX = 60.0
LAMP = {"category": "0103", "description": "dark", "place": {"community": "liuyuan"}}


@dataclass(slots=True)
class Machine:
    """The machine on which Compose would run."""

    compose: Object
    cluster: Cluster
    postgres: PostgresServer
    folder: Path
    ports: dict[str, int] = field(default_factory=dict)

    def environment(self, name: str) -> dict[str, str]:
        """The variables of one container, with addresses that are right here."""
        container = compose_container(name, self.compose)
        root = mount(container, [], self.cluster.secrets, self.folder / name)
        environment = environment_below(container, root)
        dsn = environment.get("WHISTLE_POSTGRES_DSN_FILE")
        if dsn is not None:
            text = Path(dsn).read_text(encoding="utf-8")
            Path(dsn).write_text(text.replace("@postgres:5432/", f"@{HOST}:{self.postgres.port}/"))
        own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "WHISTLE_NATS_URL": self.cluster.url}
        if name in SERVICES:
            own |= {"WHISTLE_HTTP_HOST": HOST, "WHISTLE_HTTP_PORT": str(self.ports[name])}
            if name == "ledger":
                own["WHISTLE_LEDGER_STORE"] = str(self.folder / "sealed")
            own["WHISTLE_PUBLIC_REQUESTS_PER_MINUTE"] = "100000"  # who waits asks often
        return environment | own

    def log(self, name: str) -> str:
        """What a container has written."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    @asynccontextmanager
    async def running(self, name: str) -> AsyncGenerator[asyncio.subprocess.Process]:
        """The process of one container, as the image's entry point would start it."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *compose_container(name, self.compose).args),
                env=self.environment(name),
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)

    async def ask(self, name: str, path: str, body: Object | None = None) -> tuple[int, object]:
        """Status and content of an answer of a service; raises OSError while nobody listens."""
        return await asyncio.to_thread(_ask, f"http://{HOST}:{self.ports[name]}{path}", body)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine(
    compose: Object, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Machine]:
    """Everything that Compose would have started, each when what it depends on is there."""
    folder = tmp_path_factory.mktemp("machine")
    postgres = PostgresServer(
        folder / "postgres",
        port=free_port(),
        password=cluster.password("postgres"),
        log=folder / "postgres.log",
    )
    await postgres.start()
    machine = Machine(compose, cluster, postgres, folder)
    machine.ports.update((service, free_port()) for service in SERVICES)
    try:
        async with AsyncExitStack() as stack:
            async with machine.running("provision") as provision:
                code = await asyncio.wait_for(provision.wait(), PROVISION_SECONDS_MAX)
                assert code == 0, machine.log("provision")
            for service in SERVICES:
                await stack.enter_async_context(machine.running(service))
            for service in SERVICES:
                await _until(machine, service, "/readyz", 200)
            yield machine
    finally:
        await postgres.stop()


async def test_a_report_reaches_its_department(machine: Machine) -> None:
    """Each service has the rights and the secrets that it needs, and the rule book was published."""
    status, receipt = await machine.ask("intake", "/cases", LAMP)
    assert status == 201, receipt

    await _until_assigned(machine, 1)


async def test_without_postgresql_reports_are_taken_and_work_goes_on_later(machine: Machine) -> None:
    """The log is the only source of truth: read models catch up when they can."""
    await machine.postgres.stop()
    status, receipt = await machine.ask("intake", "/cases", LAMP)
    assert status == 201, receipt
    await _until(machine, "evaluation", "/readyz", 503)
    await machine.postgres.start()
    await _until_assigned(machine, 2)


async def test_without_the_log_nothing_is_promised(machine: Machine) -> None:
    """A report is refused at once; whoever waits stays alive, and goes on by itself."""
    for node in machine.cluster.nodes:
        await node.kill()
    await _until(machine, "intake", "/cases", 503, LAMP)
    for service in SERVICES:
        await _until(machine, service, "/readyz", 503)
        assert (await machine.ask(service, "/healthz"))[0] == 200
    for node in machine.cluster.nodes:
        await node.start()
    for service in SERVICES:
        await _until(machine, service, "/readyz", 200)


async def _until(machine: Machine, service: str, path: str, status: int, body: Object | None = None) -> None:
    async def answers() -> bool:
        try:
            return (await machine.ask(service, path, body))[0] == status
        except OSError:
            return False

    await until(answers, lambda: machine.log(service))


async def _until_assigned(machine: Machine, cases: int) -> None:
    async def assigned() -> bool:
        status, rows = await machine.ask("evaluation", "/scoreboard?by=department")
        return (
            status == 200
            and isinstance(rows, list)
            and [(row["key"], row["cases"]) for row in rows] == [("power", cases)]
        )

    await until(assigned, lambda: machine.log("dispatch") + machine.log("evaluation"))


def _ask(url: str, body: Object | None) -> tuple[int, object]:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
