"""Starts the servers, then the services, keeps them running, and stops them in the opposite order."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from cli.departments.serving import accounts_of
from cli.embedded.errors import StartFailed
from cli.embedded.nats import STOP_SECONDS_MAX as NATS_STOP_SECONDS_MAX
from cli.embedded.nats import Doors, NatsServer
from cli.embedded.postgres import STOP_SECONDS_MAX as POSTGRES_STOP_SECONDS_MAX
from cli.embedded.postgres import SUPERUSER, PostgresServer
from cli.embedded.process import Child, Program, process_start, start, tail
from cli.embedded.secrets import Secrets
from cli.stack.databases import prepare_databases
from cli.stack.issuer import LocalIssuer
from cli.stack.journal import open_journal
from cli.stack.keeper import Keeper
from cli.stack.ledger_key import LEDGER_KEY, new_ledger_key
from cli.stack.lock import lock_home
from cli.stack.plan import Service, StackPlan, service_environment, with_fault_seed
from cli.stack.ports import choose_ports
from cli.stack.readiness import is_alive, is_ready
from cli.stack.state import Phase, Running, Stack, dsn_for, repository, without_password

SERVICE_STOP_SECONDS_MAX = 10.0
# A slow machine that does something else meanwhile starts eight processes one after the other, nearly.
SERVICE_READY_SECONDS_MAX = 240.0
READY_POLL_SECONDS = 0.05
# A service may die this often before it was ever ready; then its start has failed.
START_DEATHS_MAX = 3

Report = Callable[[str], None]


def silent(_step: str) -> None:
    """Report nothing."""


class Supervisor:
    """One running stack; use `running_stack`, or `start` and `stop`."""

    def __init__(self, plan: StackPlan, report: Report = silent) -> None:
        """`report` hears each step of the start, as a short bilingual line."""
        self._plan = plan
        self._report = report
        self._secret = Secrets(plan.secrets_folder)
        self._logs = plan.home / "log"
        self._log = open_journal(self._logs / "stack.log")
        self._servers: list[Keeper] = []
        self._services: list[Keeper] = []
        self._may_refuse: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._issuer: LocalIssuer | None = None
        self._lock = -1
        self._state: Stack | None = None

    @property
    def stack(self) -> Stack:
        """How to reach what runs; only after `start`."""
        assert self._state is not None, "not started"
        return self._state

    async def start(self) -> Stack:
        """Start everything until every service is ready; raises StackError and leaves nothing behind."""
        self._plan.home.mkdir(parents=True, exist_ok=True)
        self._plan.home.chmod(0o711)
        self._lock = await lock_home(self._plan.home)
        try:
            await self._start_all()
        except BaseException:
            await self.stop()
            raise
        return self.stack

    async def stop(self) -> None:
        """Stop services, then servers; returns when nothing is left."""
        if self._lock < 0:
            return
        self._save(phase="stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for group in (self._services, self._servers):
            await asyncio.gather(*(keeper.stop() for keeper in group))
        if self._issuer is not None:
            await self._issuer.stop()
        (self._plan.home / "run.json").unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = -1

    async def _start_all(self) -> None:
        plan = self._plan
        if plan.owns_secrets:
            self._secret.make(plan.secret_names())
            self._secret.make_one(LEDGER_KEY, new_ledger_key)
        # The state file comes first: whoever finds the lock taken looks there for its owner.
        self._state = self._first_state()
        self._save()
        ports = choose_ports(plan.home / "ports.json", plan.port_names(), plan.asked_ports)
        await self._start_servers(ports)
        await self._prepare()
        await self._start_issuer(ports)
        for service in plan.services:
            for name in service.replica_names():
                await self._start_service(service, name, ports[name])
        self._report("waiting for the services · 等待各服务就绪")
        await self._wait_ready()
        self._save(phase="ready")

    def _first_state(self) -> Stack:
        plan = self._plan
        return Stack(
            home=plan.home,
            phase="starting",
            supervisor=Running("supervisor", os.getpid(), process_start(os.getpid())),
            nats_url=plan.nats_url,
            postgres_admin_dsn=without_password(plan.postgres_dsn),
            secrets_folder=plan.secrets_folder,
            stream_replicas=plan.stream_replicas,
            issuer_url=plan.oidc_issuer,
        )

    async def _start_servers(self, ports: dict[str, int]) -> None:
        starts: list[Coroutine[None, None, None]] = []
        if not self._plan.nats_url:
            starts.append(self._start_nats(ports))
        if not self._plan.postgres_dsn:
            starts.append(self._start_postgres(ports["postgres"]))
        await _all_of(starts)

    async def _start_nats(self, ports: dict[str, int]) -> None:
        self._report("starting nats-server · 启动 nats-server")
        server = NatsServer(
            self._plan.home / "nats",
            port=ports["nats"],
            doors=Doors(ports.get("mqtt"), ports.get("websocket")),
            accounts=lambda: accounts_of(self._plan.home, self._secret),
            log=self._logs / "nats.log",
            inherited=(self._lock,),
        )
        self._state = replace(
            self.stack, nats_url=server.url, doors={name: ports[name] for name in self._plan.doors}
        )
        await self._keep_server("nats", server.url, server, NATS_STOP_SECONDS_MAX)

    async def _start_postgres(self, port: int) -> None:
        self._report("starting PostgreSQL · 启动 PostgreSQL")
        server = PostgresServer(
            self._plan.home / "postgres",
            port=port,
            password=self._secret(SUPERUSER),
            log=self._logs / "postgres.log",
            inherited=(self._lock,),
        )
        self._state = replace(self.stack, postgres_admin_dsn=without_password(server.dsn))
        await self._keep_server("postgres", without_password(server.dsn), server, POSTGRES_STOP_SECONDS_MAX)

    async def _keep_server(
        self, name: str, url: str, server: NatsServer | PostgresServer, stop_seconds_max: float
    ) -> None:
        async def begin() -> Child:
            await server.start()
            return server.child

        keeper = Keeper(name, url, begin, stop_seconds_max, self._log, self._save)
        self._servers.append(keeper)
        await keeper.begin()
        self._tasks.append(asyncio.create_task(keeper.keep(), name=f"keep-{name}"))

    async def _start_issuer(self, ports: dict[str, int]) -> None:
        if not self._plan.oidc_issuer:
            self._issuer = LocalIssuer(self._plan.home, ports["issuer"])
            await self._issuer.start()
            self._state = replace(self.stack, issuer_url=self._issuer.url)

    async def _prepare(self) -> None:
        plan, own = self._plan, not self._plan.postgres_dsn
        self._report("preparing the database · 准备数据库")
        admin = (
            dsn_for(self.stack.postgres_admin_dsn, SUPERUSER, self._secret(SUPERUSER), database="postgres")
            if own
            else plan.postgres_dsn
        )
        roles = [service.role for service in plan.services if service.database]
        await prepare_databases(admin, self._secret, reset_passwords=own, roles=roles)
        self._report("preparing streams and rule book · 准备事件流与规则")
        await plan.provision(
            nats_url=self.stack.nats_url, secret=self._secret, policy_dir=plan.policy_dir, admin_dsn=admin
        )

    async def _start_service(self, service: Service, name: str, port: int) -> None:
        self._report(f"starting {name} · 启动 {name}")
        environment = service_environment(
            service, plan=self._plan, port=port, stack=self.stack, secret=self._secret
        )
        program = Program(
            name=name,
            argv=service.command,
            log=self._logs / f"{name}.log",
            environment=environment,
            folder=repository(),
            # Without a supervisor nobody would end one that is stuck; a service must bear this anyway.
            death_signal=signal.SIGKILL,
            inherited=(self._lock,),
        )
        url = f"http://127.0.0.1:{port}"

        async def begin() -> Child:
            return await start(
                replace(program, environment=with_fault_seed(environment, name, keeper.deaths))
            )

        keeper = Keeper(name, url, begin, SERVICE_STOP_SECONDS_MAX, self._log, self._save)
        self._services.append(keeper)
        if service.may_refuse:
            self._may_refuse.add(name)
        await keeper.begin()
        self._tasks.append(asyncio.create_task(keeper.keep(), name=f"keep-{name}"))

    async def _wait_ready(self) -> None:
        try:
            async with asyncio.timeout(SERVICE_READY_SECONDS_MAX):
                await _all_of(self._wait_one(keeper) for keeper in self._services)
        except TimeoutError as error:
            late = [keeper for keeper in self._services if not await is_ready(keeper.url)] or self._services
            raise self._not_ready(late[0]) from error

    async def _wait_one(self, keeper: Keeper) -> None:
        while not await is_ready(keeper.url):
            if keeper.name in self._may_refuse and await is_alive(keeper.url):
                self._report(f"{keeper.name} is not ready · {keeper.name} 未就绪: {keeper.url}/readyz")
                return
            if keeper.deaths >= START_DEATHS_MAX:
                raise self._not_ready(keeper)
            await asyncio.sleep(READY_POLL_SECONDS)
        self._report(f"{keeper.name} is ready · {keeper.name} 已就绪")

    def _not_ready(self, keeper: Keeper) -> StartFailed:
        log = self._logs / f"{keeper.name}.log"
        return StartFailed(
            f"{keeper.name} did not become ready · {keeper.name} 未能就绪 ({log}):\n{tail(log)}"
        )

    def _save(self, phase: Phase | None = None) -> None:
        if self._state is None:
            return
        keepers = (*self._servers, *self._services)
        self._state = replace(
            self._state,
            phase=phase or self._state.phase,
            processes=tuple(keeper.running() for keeper in keepers),
            restarts={keeper.name: keeper.deaths for keeper in keepers},
        )
        self._state.save()


async def _all_of(steps: Iterable[Coroutine[None, None, None]]) -> None:
    """Wait for all; the first failure ends the others and is raised as it is, not as a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for step in steps:
                tasks.create_task(step)
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


@asynccontextmanager
async def running_stack(plan: StackPlan, report: Report = silent) -> AsyncGenerator[Stack]:
    """A stack that runs as long as the block does; raises StackError if it cannot be started."""
    supervisor = Supervisor(plan, report)
    stack = await supervisor.start()
    try:
        yield stack
    finally:
        # A second Ctrl-C must not leave the stop half done.
        await asyncio.shield(supervisor.stop())
