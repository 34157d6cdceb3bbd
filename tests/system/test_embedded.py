"""The embedded servers and their supervisor, for real: who gets in, and what happens at a kill."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import nats
import pytest
import pytest_asyncio
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from cli.departments.keyring import new_seed, public_of
from cli.embedded.account_file import render_accounts
from cli.embedded.errors import AlreadyRunning, NotRunning, PortTaken, SecretMissing, StartFailed
from cli.embedded.nats import NatsCluster, NatsServer
from cli.embedded.postgres import PostgresServer
from cli.embedded.process import process_start
from cli.embedded.secrets import Secrets
from cli.stack.background import UpRequest, down, up
from cli.stack.lock import is_locked
from cli.stack.plan import Service, StackPlan
from cli.stack.ports import choose_ports, free_port
from cli.stack.state import Running, Stack, repository
from cli.stack.supervisor import running_stack
from libs.events.streams import SOURCE_API_PREFIX, SOURCE_DELIVER_PREFIX
from libs.events.subjects import DEPARTMENT_API_PREFIX

SECONDS_MAX = 180.0
POLL_SECONDS = 0.02
DEPARTMENTS = ("water", "fire")
PASSWORD = "w-for-tests"
SEEDS = {department: new_seed() for department in (*DEPARTMENTS, "parks")}
KEYS = {department: [public_of(SEEDS[department])] for department in DEPARTMENTS}
DEPARTMENTS_STREAM: dict[str, Any] = {
    "name": "DEPARTMENTS",
    "subjects": ["dept.*.refused.*"],
    "storage": "file",
    "sources": [
        {
            "name": "CASES",
            "external": {"api": SOURCE_API_PREFIX, "deliver": SOURCE_DELIVER_PREFIX},
            "subject_transforms": [
                {"src": "case.*.*.*.*", "dest": "dept.{{wildcard(4)}}.{{wildcard(2)}}.{{wildcard(1)}}"}
            ],
        }
    ],
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path that others can reach."""
    path = Path(tempfile.mkdtemp(prefix="whistle-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds; the bound is only a safety net."""
    async with asyncio.timeout(SECONDS_MAX):
        while not await holds():  # noqa: ASYNC110  # what it waits for is in other processes
            await asyncio.sleep(POLL_SECONDS)


async def arrived(client: Client) -> None:
    """Wait until the server has handled all that this client sent."""
    # The PING of a flush overtakes what nats-py 2.16 has still in its buffer; that of a second one does not.
    await client.flush()
    await client.flush()


class Bus:
    """A server (or cluster) with its streams, and one connection for each user that a test uses."""

    def __init__(self, urls: str, replicas: int = 1) -> None:
        self.urls = urls
        self.replicas = replicas
        self.refusals: dict[str, list[str]] = {}
        self._clients: dict[str, Client] = {}

    async def user(self, name: str) -> Client:
        if name not in self._clients:
            refusals = self.refusals.setdefault(name, [])

            async def refused(error: Exception) -> None:
                refusals.append(str(error))

            department = name.removeprefix("department-")
            login: dict[str, Any] = (
                {"user": name, "password": PASSWORD}
                if department == name
                else {"nkeys_seed_str": SEEDS[department]}
            )
            self._clients[name] = await nats.connect(
                self.urls.split(","),
                **login,
                inbox_prefix=f"_INBOX_{department}".encode(),
                error_cb=refused,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.05,
            )
        return self._clients[name]

    async def call(self, user: str, verb: str, **body: object) -> dict[str, Any]:
        client = await self.user(user)
        reply = await client.request(f"$JS.API.{verb}", json.dumps(body).encode() if body else b"", timeout=2)
        answer: dict[str, Any] = json.loads(reply.data)
        return answer

    async def provision(self) -> None:
        common = {"storage": "file", "num_replicas": self.replicas}
        await self._made("provision", "STREAM.CREATE.CASES", name="CASES", subjects=["case.>"], **common)
        source = DEPARTMENTS_STREAM | {"num_replicas": self.replicas}
        await self._made("provision-bus", "STREAM.CREATE.DEPARTMENTS", **source)
        for department in DEPARTMENTS:
            config = {
                "name": department,
                "durable_name": department,
                "ack_policy": "explicit",
                "filter_subject": f"dept.{department}.>",
            }
            verb = f"CONSUMER.CREATE.DEPARTMENTS.{department}.dept.{department}.>"
            await self._made("provision-bus", verb, stream_name="DEPARTMENTS", config=config)
        config = {"name": "dispatch", "durable_name": "dispatch", "ack_policy": "explicit"}
        await self._made("provision", "CONSUMER.CREATE.CASES.dispatch", stream_name="CASES", config=config)

    async def _made(self, user: str, verb: str, **body: object) -> None:
        async def made() -> bool:
            # A new cluster has no leader for a moment.
            try:
                answer = await self.call(user, verb, **body)
            except (errors.TimeoutError, errors.NoRespondersError):
                return False
            assert answer.get("error", {}).get("code", 503) == 503, answer
            return "error" not in answer

        await eventually(made)

    async def messages(self, stream: str, user: str) -> int:
        answer = await self.call(user, f"STREAM.INFO.{stream}")
        return int(answer["state"]["messages"]) if "state" in answer else -1

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def nats_in(folder: Path) -> NatsServer:
    return NatsServer(folder / "nats", port=free_port(), accounts=accounts)


def accounts() -> str:
    """The users at this moment: a test may change `KEYS`."""
    return render_accounts(KEYS, lambda _: PASSWORD)


@pytest_asyncio.fixture
async def bus(folder: Path) -> AsyncIterator[Bus]:
    server = nats_in(folder)
    await server.start()
    bus = Bus(server.url)
    await bus.provision()
    yield bus
    await bus.close()
    await server.stop()


# --- who gets in; what each may do there is in test_rights.py ---


@pytest.mark.asyncio
@pytest.mark.parametrize("login", [{"user": "intake", "pass": "wrong"}, {"user": "stranger"}, {}])
async def test_without_the_right_password_nobody_gets_in(bus: Bus, login: dict[str, str]) -> None:
    # By hand: nats-py 2.16 leaves the refused connection open.
    host, _, port = bus.urls.removeprefix("nats://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        assert (await reader.readline()).startswith(b"INFO ")
        writer.write(f"CONNECT {json.dumps(login | {'verbose': False})}\r\nPING\r\n".encode())
        assert b"Authorization Violation" in await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.asyncio
async def test_a_department_hears_its_own_facts_and_asks_dispatch(bus: Bus) -> None:
    await reaches_departments(bus)


async def reaches_departments(bus: Bus) -> None:
    dispatch = await bus.user("dispatch")
    await dispatch.request("case.c1.assigned.3.water", b"{}", timeout=SECONDS_MAX)
    await dispatch.request("case.c1.assigned.3", b"{}", timeout=SECONDS_MAX)
    water = await bus.user("department-water")
    jetstream = water.jetstream(prefix=DEPARTMENT_API_PREFIX, timeout=SECONDS_MAX)
    subscription = await jetstream.pull_subscribe_bind("water", stream="DEPARTMENTS")
    (message,) = await subscription.fetch(1, timeout=SECONDS_MAX)
    assert message.subject == "dept.water.assigned.c1"
    await message.ack_sync(SECONDS_MAX)
    info = await jetstream.consumer_info("DEPARTMENTS", "water")
    assert (info.num_ack_pending, info.num_pending) == (0, 0)

    async def answer(question: Msg) -> None:
        await question.respond(question.subject.encode())

    office = await bus.user("dispatch-bus")
    await office.subscribe("ask.*.*", queue="dispatch", cb=answer)
    await arrived(office)
    assert await answered(water, "ask.water.accept")


async def answered(client: Client, subject: str) -> bool:
    return (await client.request(subject, b"{}", timeout=SECONDS_MAX)).data == subject.encode()


@pytest.mark.asyncio
async def test_a_department_is_added_while_the_others_stay_connected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = nats_in(folder)
    await server.start()
    bus = Bus(server.url)
    try:
        await bus.provision()
        await reaches_departments(bus)
        monkeypatch.setitem(KEYS, "parks", [public_of(SEEDS["parks"])])
        await server.reload()
        parks = await bus.user("department-parks")
        assert await answered(parks, "ask.parks.accept")
        assert await answered(await bus.user("department-water"), "ask.water.accept")
        for user in ("department-water", "dispatch"):
            assert (await bus.user(user)).stats["reconnects"] == 0
    finally:
        await bus.close()
        await server.stop()


def test_passwords_may_be_left_to_the_environment() -> None:
    text = render_accounts(KEYS, lambda user: f"${user.upper().replace('-', '_')}_PASSWORD")
    assert "password: $INTAKE_PASSWORD," in text
    assert 'password: "' in render_accounts(KEYS, lambda user: "secret")
    with pytest.raises(ValueError, match="quotes"):
        render_accounts(KEYS, lambda user: 'a"b')
    with pytest.raises(ValueError, match="token"):
        render_accounts({"No Q": KEYS["water"]}, lambda user: "secret")
    with pytest.raises(ValueError, match="public key"):
        render_accounts({"water": [SEEDS["water"]]}, lambda user: "secret")


@pytest.mark.asyncio
@pytest.mark.full
async def test_three_nodes_form_one_log(folder: Path) -> None:
    ports = [(free_port(), free_port()) for _ in range(3)]
    cluster = NatsCluster(folder, ports=ports, accounts=accounts, route_password="route")
    await cluster.start()
    bus = Bus(cluster.url, replicas=3)
    try:
        await bus.provision()
        await reaches_departments(bus)
        cluster.nodes[0].child.kill()
        await cluster.nodes[0].child.wait()
        await eventually(lambda: appended(bus, "case.c2.assigned.1.fire"))
        await cluster.nodes[0].start()
    finally:
        await bus.close()
        await cluster.stop()


async def appended(bus: Bus, subject: str) -> bool:
    try:
        reply = await (await bus.user("dispatch")).request(subject, b"{}", timeout=2)
    except errors.Error:
        return False
    return "seq" in json.loads(reply.data)


# --- the servers ---


def folder_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/cwd").readlink()


def owner_of(path: Path) -> int:
    return path.stat().st_uid


def close_to_others(folder: Path) -> None:
    folder.chmod(0o700)


def postgres_in(folder: Path, **options: Any) -> PostgresServer:
    return PostgresServer(folder / "postgres", port=free_port(), password=PASSWORD, **options)


@pytest.mark.asyncio
async def test_the_log_outlives_kill_9(folder: Path) -> None:
    server = nats_in(folder)
    await server.start()
    bus = Bus(server.url)
    try:
        await bus.provision()
        for number in range(1, 6):
            assert await appended(bus, f"case.c1.assigned.{number}")
            server.child.kill()
            await server.child.wait()
            await server.start()

        async def complete() -> bool:
            try:
                return await bus.messages("CASES", "provision") == 5
            except errors.Error:
                return False

        await eventually(complete)
    finally:
        await bus.close()
        await server.stop()


@pytest.mark.asyncio
@pytest.mark.parametrize("namespaces", [True, False])
async def test_postgres_outlives_kill_9_with_backends_at_work(folder: Path, namespaces: bool) -> None:
    server = postgres_in(folder, namespaces=namespaces)
    await server.start()
    try:
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
        busy = asyncio.create_task(connection.execute("SELECT pg_sleep(600)"))
        server.child.kill()
        await server.child.wait()
        await server.start()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await busy
        again = await asyncpg.connect(server.dsn)
        assert await again.fetchval("SELECT n FROM kept") == 1
        settings = await again.fetch(
            "SELECT name, setting FROM pg_settings WHERE name = ANY($1)",
            [
                "synchronous_commit",
                "TimeZone",
                "password_encryption",
                "server_encoding",
                "unix_socket_directories",
            ],
        )
        assert {row["name"]: row["setting"] for row in settings} == {
            "synchronous_commit": "on",
            "TimeZone": "UTC",
            "password_encryption": "scram-sha-256",
            "server_encoding": "UTF8",
            "unix_socket_directories": "",
        }
        assert await again.fetchval("SELECT upper('ä')") == "Ä"
        await again.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.dsn.replace(PASSWORD, "wrong"))
    finally:
        await server.stop()


@pytest.mark.asyncio
@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
async def test_postgres_runs_for_root_in_a_folder_that_others_cannot_reach(folder: Path) -> None:
    close_to_others(folder)
    server = postgres_in(folder, namespaces=False)
    elsewhere: list[Path] = []
    try:
        await server.start()
        elsewhere = [folder_of(server.child.pid)]
        assert not elsewhere[0].is_relative_to(folder)
        assert owner_of(elsewhere[0] / "PG_VERSION") != 0
    finally:
        await server.stop()
        for path in elsewhere:
            shutil.rmtree(path.parents[1])


@pytest.mark.asyncio
async def test_an_interrupted_initdb_is_done_again(folder: Path) -> None:
    server = postgres_in(folder)
    unfinished = folder / "postgres" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    await server.start()
    await server.stop()
    assert not unfinished.exists()


@pytest.mark.asyncio
async def test_a_pid_file_that_means_somebody_else_does_not_hinder(folder: Path) -> None:
    server = postgres_in(folder)
    await server.start()
    pid_file = folder / "postgres" / "data" / "postmaster.pid"
    content = pid_file.read_text().split("\n", 1)[1]
    await server.stop()
    other = await asyncio.create_subprocess_exec("sleep", "600", cwd="/")
    try:
        pid_file.write_text(f"{other.pid}\n{content}")
        await server.start()
        await server.stop()
    finally:
        other.kill()
        await other.wait()


def test_secrets_are_made_once_and_read_by_their_owner_only(folder: Path) -> None:
    secrets = Secrets(folder / "secrets")
    secrets.make(["intake", "notify"])
    first = secrets("intake")
    secrets.make(["intake", "notify"])
    assert (secrets("intake"), secrets("notify") != first, first[0].isalpha()) == (first, True, True)
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    assert (folder / "secrets/intake").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SecretMissing, match="nobody"):
        secrets("nobody")


def test_a_free_port_is_kept_for_whoever_asked_for_it() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_ports_are_remembered_if_free(folder: Path) -> None:
    file = folder / "ports.json"
    first = choose_ports(file, ("nats", "intake"), {})
    assert choose_ports(file, ("nats", "intake"), {}) == first
    with socket.create_server(("127.0.0.1", first["nats"])):
        assert choose_ports(file, ("nats", "intake"), {})["nats"] != first["nats"]
        with pytest.raises(PortTaken, match="nats"):
            choose_ports(file, ("nats", "intake"), {"nats": first["nats"]})


# --- the supervisor ---

STAND_IN = textwrap.dedent("""
    import asyncio, os
    async def answer(reader, writer):
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
        await writer.drain()
        writer.close()
    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", int(os.environ["WHISTLE_HTTP_PORT"]))
        await server.serve_forever()
    asyncio.run(main())
""")


async def provision_nothing(
    *,
    nats_url: str,
    secret: Callable[[str], str],
    policy_dir: Path,
    admin_dsn: str,
) -> None:
    """Proves that the bus is there and knows the provisioning user."""
    client = await nats.connect(nats_url, user="provision", password=secret("provision"))
    await client.close()


def plan_in(home: Path, *, replicas: int = 1, script: str = STAND_IN) -> StackPlan:
    stand_in = (sys.executable, "-c", script)
    return StackPlan(
        home=home,
        policy_dir=home,
        provision=provision_nothing,
        services=(
            Service(
                name="intake",
                argv=stand_in,
                secrets={"WHISTLE_TRACKING_SECRET": "tracking"},
                replicas=replicas,
            ),
            Service(name="dispatch", argv=stand_in, bus_user="dispatch-bus", replicas=replicas),
        ),
        secrets_folder=home / "secrets",
    )


@pytest.mark.asyncio
async def test_a_stack_has_all_that_a_service_needs(folder: Path) -> None:
    async with running_stack(plan_in(folder, replicas=2)) as stack:
        assert [process.name for process in stack.processes if process.url.startswith("http")] == [
            "intake",
            "intake-2",
            "dispatch",
            "dispatch-2",
        ]
        assert len(stack.service_urls("dispatch")) == 2
        loaded = Stack.load(folder)
        assert loaded.service_url("intake") == stack.service_url("intake")
        connection = await asyncpg.connect(loaded.postgres_dsn("whistle_intake"))
        await connection.execute("CREATE SCHEMA intake; CREATE TABLE intake.own (n int)")
        await connection.close()
        other = await asyncpg.connect(loaded.postgres_dsn("whistle_dispatch"))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await other.fetch("SELECT * FROM intake.own")
        await other.close()
        environment = environment_of(next(p.pid for p in stack.processes if p.name == "dispatch"))
        assert environment["WHISTLE_NATS_USER"] == "dispatch"
        assert environment["WHISTLE_BUS_PASSWORD"] == loaded.secret("dispatch-bus")
        assert "whistle_dispatch" in environment["WHISTLE_POSTGRES_DSN"]
        assert "WHISTLE_TRACKING_SECRET" not in environment
        with pytest.raises(AlreadyRunning):
            async with running_stack(plan_in(folder)):
                pass
    assert not is_locked(folder)
    with pytest.raises(NotRunning, match="whistle up"):
        Stack.load(folder)


def environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


@pytest.mark.asyncio
async def test_what_dies_is_started_again(folder: Path) -> None:
    async with running_stack(plan_in(folder)) as stack:
        before = {process.name: process.pid for process in stack.processes}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)

        async def all_again() -> bool:
            now = Stack.read(folder)
            assert now is not None
            return all(process.alive and process.pid != before[process.name] for process in now.processes)

        await eventually(all_again)
        again = Stack.load(folder)
        assert set(again.restarts.values()) == {1}
        connection = await asyncpg.connect(again.postgres_dsn("whistle_intake"))
        await connection.close()


@pytest.mark.asyncio
async def test_a_service_that_cannot_start_is_named_with_its_last_words(folder: Path) -> None:
    plan = plan_in(folder)
    intake, dispatch = plan.services
    broken = (sys.executable, "-c", "raise SystemExit('no such table of colours')")
    with pytest.raises(StartFailed, match=r"intake .*\n(.*\n)*.*no such table of colours"):
        async with running_stack(replace(plan, services=(replace(intake, argv=broken), dispatch))):
            pass
    assert not is_locked(folder)


@pytest.mark.asyncio
async def test_two_stacks_side_by_side(folder: Path) -> None:
    async with (
        running_stack(plan_in(folder / "one")) as one,
        running_stack(plan_in(folder / "two")) as two,
    ):
        assert not {process.url for process in one.processes} & {process.url for process in two.processes}
        assert one.secret("intake") != two.secret("intake")


# A program that runs a stack with stand-ins, as `up` (with a descriptor) or by itself; the test kills it.
HOLDER = textwrap.dedent("""
    import asyncio, importlib.util, sys
    from pathlib import Path
    spec = importlib.util.spec_from_file_location("stand_ins", {test!r})
    stand_ins = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stand_ins)
    {body}
""")
HOLD = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever started the tests may have it ignored
async def hold():
    async with stand_ins.running_stack(stand_ins.plan_in(Path(sys.argv[1]))):
        print("up", flush=True)
        await asyncio.Event().wait()
asyncio.run(hold())
"""
DAEMON = """
from cli.stack import daemon
daemon.main(lambda arguments: stand_ins.plan_in(Path(arguments["home"])))
"""


def holder(body: str) -> str:
    return HOLDER.format(test=__file__, body=body)


async def spawn_holder(home: Path, **options: Any) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(options.pop("python", sys.executable), "-c", holder(HOLD), str(home)),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(repository())} | options.pop("environment", {}),
        cwd="/",
        **options,
    )
    assert process.stdout is not None
    assert (await asyncio.wait_for(process.stdout.readline(), SECONDS_MAX)).strip() == b"up"
    return process


async def nothing_left(home: Path, stack: Stack) -> bool:
    return not is_locked(home) and not any(process.alive for process in stack.processes)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.full),
        pytest.param(signal.SIGINT, marks=pytest.mark.full),
    ],
)
async def test_everything_ends_with_its_supervisor(folder: Path, number: signal.Signals) -> None:
    process = await spawn_holder(folder)
    stack = Stack.load(folder)
    assert all(running.alive for running in stack.processes)
    process.send_signal(number)
    await asyncio.wait_for(process.wait(), SECONDS_MAX)
    await eventually(lambda: nothing_left(folder, stack))
    with pytest.raises(NotRunning):
        Stack.load(folder)
    async with running_stack(plan_in(folder)):  # and the state that it left does not hinder the next
        pass


@pytest.mark.asyncio
@pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user every other test shows it")
async def test_an_ordinary_user_runs_a_stack(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    python = python_for(nobody.pw_uid)
    if python is None:
        pytest.skip("no Python of this version that another user can run")
    process = await spawn_holder(
        folder,
        python=python,
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        environment={"PYTHONPATH": os.pathsep.join((str(repository()), *site_packages())), "HOME": "/"},
    )
    stack = Stack.load(folder)
    owners = {owner_of(Path(f"/proc/{running.pid}")) for running in stack.processes}
    process.send_signal(signal.SIGTERM)
    await process.wait()
    assert owners == {nobody.pw_uid}
    await eventually(lambda: nothing_left(folder, stack))


def site_packages() -> list[str]:
    return [path for path in sys.path if path.endswith("site-packages")]


def python_for(user: int) -> str | None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    check = f"import sys; assert sys.version.startswith('{version}'); open({__file__!r}).close()"
    for python in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        try:
            subprocess.run([python, "-c", check], user=user, check=True, capture_output=True, cwd="/")
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return None


# --- up and down ---


def request_in(home: Path) -> UpRequest:
    return UpRequest(home=home, policy_dir=home, command=(sys.executable, "-c", holder(DAEMON)))


@pytest.mark.asyncio
async def test_up_is_repeatable_and_down_leaves_nothing(folder: Path) -> None:
    steps: list[str] = []
    stack = await up(request_in(folder), steps.append)
    assert any("PostgreSQL" in step for step in steps)
    again = await up(request_in(folder), steps.append)
    assert again.supervisor == stack.supervisor
    assert await down(folder)
    assert await nothing_left(folder, stack)
    assert not stack.supervisor.alive
    assert not await down(folder)


@pytest.mark.asyncio
async def test_two_ups_at_once_give_one_stack(folder: Path) -> None:
    results = await asyncio.gather(
        up(request_in(folder), lambda step: None),
        up(request_in(folder), lambda step: None),
        return_exceptions=True,
    )
    stacks = [result for result in results if isinstance(result, Stack)]
    try:
        assert len({stack.supervisor.pid for stack in stacks}) == 1, results
        assert len(stacks) == 2, results
    finally:
        await down(folder)


@pytest.mark.asyncio
async def test_down_also_ends_a_supervisor_that_was_stopped_or_killed(folder: Path) -> None:
    stack = await up(request_in(folder), lambda step: None)
    os.kill(stack.supervisor.pid, signal.SIGKILL)
    assert await down(folder) in (True, False)  # its children may have been quicker
    await eventually(
        lambda: nothing_left(folder, stack)
    )  # who gives up the lock as it ends is still there a moment


def test_a_stale_state_file_means_nothing_runs(folder: Path) -> None:
    stack = Stack(
        home=folder,
        phase="ready",
        supervisor=running_self(),
        nats_url="",
        postgres_admin_dsn="",
        secrets_folder=folder,
    )
    stack.save()
    assert Stack.load(folder).supervisor.pid == os.getpid()
    # The same pid, but another process: one that started at another time.
    started_at = (stack.supervisor.started_at or 0) - 1
    replace(stack, supervisor=replace(stack.supervisor, started_at=started_at)).save()
    with pytest.raises(NotRunning):
        Stack.load(folder)
    (folder / "run.json").write_text("{ half")
    with pytest.raises(NotRunning):
        Stack.load(folder)


def running_self() -> Running:
    return Running("supervisor", os.getpid(), process_start(os.getpid()))


def test_servers_of_somebody_else_need_their_passwords(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISTLE_NATS_URL", "nats://127.0.0.1:1")
    monkeypatch.delenv("WHISTLE_SECRETS_DIR", raising=False)

    def plan() -> StackPlan:
        return StackPlan.from_environment(policy_dir=folder, provision=provision_nothing, home=folder)

    with pytest.raises(SecretMissing, match="WHISTLE_SECRETS_DIR"):
        plan()
    monkeypatch.setenv("WHISTLE_SECRETS_DIR", str(folder))
    assert "nats" not in plan().port_names()
