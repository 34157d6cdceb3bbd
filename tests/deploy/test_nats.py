"""The log's configuration: current, accepted by the server, and three servers that run with it keep what they took."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cli.departments.deployment import render
from cli.embedded.accounts import user_names
from cli.embedded.nats import PAYLOAD_BYTES_MAX, server_binary
from cli.stack.ports import HOST
from cli.stack.provision import provision
from libs.events import streams
from libs.events.jetstream import JetStream, Message, NotNow, Unknown, connected
from libs.events.subjects import DEPARTMENT_API_PREFIX, department_inbox

from .cluster import Cluster, lay_out, new_node, until
from .manifests import ROOT, script

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHECK_SECONDS_MAX = 180
POLICY = ROOT / "policy/example"


async def test_the_accounts_file_is_current() -> None:
    """It is what deploy/render.py writes before any department has a key: run that after a change of permissions."""
    assert (ROOT / "deploy/nats/accounts.conf").read_text(encoding="utf-8") == render({})


async def test_every_user_gets_a_password_of_its_own(deploy_copy: Path) -> None:
    """A file for each user of the accounts, no two alike; a second run changes none."""
    folder = deploy_copy / "k8s/overlays/trial/secrets"
    users = (*user_names(), *script("make_secrets").OTHER_SECRETS)
    passwords = {user: (folder / user).read_text() for user in users}
    assert len(set(passwords.values())) == len(users)
    script("make_secrets").make_secrets(folder, (ROOT / "deploy/nats/accounts.conf").read_text(), "postgres")
    assert {user: (folder / user).read_text() for user in users} == passwords
    assert folder.stat().st_mode & 0o077 == 0


async def test_the_server_accepts_the_configuration(deploy_copy: Path, tmp_path: Path) -> None:
    """`nats-server -t`; and it refuses the same files without the passwords."""
    passwords = deploy_copy / "k8s/overlays/trial/secrets/nats-passwords.conf"
    configuration = lay_out(tmp_path, passwords)
    assert _checked(configuration).returncode == 0
    shutil.copy(deploy_copy / "k8s/doors/doors.conf", configuration.parent)
    assert _checked(configuration).returncode == 0
    (tmp_path / "nats-secrets/passwords.conf").write_text("")
    assert _checked(configuration).returncode != 0


def _checked(configuration: Path) -> subprocess.CompletedProcess[bytes]:
    command = (str(server_binary()), "-t", "-c", str(configuration))
    environment = {"WHISTLE_SERVER_NAME": "nats-0"}
    return subprocess.run(
        command, env=environment, check=False, capture_output=True, timeout=CHECK_SECONDS_MAX
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provisioned(cluster: Cluster) -> Cluster:
    """The cluster with its streams and consumers, three replicas each."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WHISTLE_STREAM_REPLICAS", "3")
        await provision(nats_url=cluster.url, secret=cluster.password, policy_dir=POLICY)
    return cluster


async def test_each_server_syncs_before_it_acknowledges(cluster: Cluster) -> None:
    """Asked of the running servers, not of the file."""
    for node in cluster.nodes:
        facts: dict[str, Any] = await node.ask("/varz")
        assert facts["jetstream"]["config"]["sync_always"] is True
        assert facts["max_payload"] == PAYLOAD_BYTES_MAX
        assert facts["cluster"]["name"] == "whistle"


async def test_every_stream_has_a_copy_on_each_server(provisioned: Cluster) -> None:
    """As declared by the code, made with the rights of the provisioning users alone."""
    for user, declared in (("provision", streams.log_streams(3)), ("provision-bus", streams.bus_streams(3))):
        async with connected(provisioned.url, user=user, password=provisioned.password(user)) as client:
            await streams.check(JetStream(client), declared)
            for stream in declared:
                info = await JetStream(client).api(f"STREAM.INFO.{stream.name}")
                assert len(info["cluster"]["replicas"]) == 2, stream.name


async def test_a_wrong_password_is_refused(cluster: Cluster) -> None:
    """The passwords in the files are the ones that count, each for its user."""
    assert await _greeting(cluster, "intake", cluster.password("intake")) == b"PONG"
    assert b"Authorization Violation" in await _greeting(cluster, "intake", cluster.password("notify"))
    assert b"Authorization Violation" in await _greeting(cluster, "nobody", "")


async def _greeting(cluster: Cluster, user: str, password: str) -> bytes:
    """The server's first word to somebody who gives this name and password."""
    reader, writer = await asyncio.open_connection(HOST, cluster.nodes[0].client)
    try:
        await reader.readline()  # what the server says of itself
        login = json.dumps({"user": user, "pass": password, "verbose": False, "pedantic": False})
        writer.write(f"CONNECT {login}\r\nPING\r\n".encode())
        return (await reader.readline()).strip()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_department_is_added_while_everybody_stays(provisioned: Cluster, tmp_path: Path) -> None:
    """The documented way: a key, the accounts that follow from it, two reloads of each server."""
    keys, accounts, seed = (tmp_path / name for name in ("departments.json", "accounts.conf", "water.nk"))
    asked = ("department", "add", "water", f"--to={seed}", f"--keys={keys}", f"--accounts={accounts}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cli", *asked), env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert await asyncio.wait_for(process.wait(), CHECK_SECONDS_MAX) == 0
    passwords = provisioned.secrets / "nats-passwords.conf"
    user = "intake"
    async with connected(provisioned.url, user=user, password=provisioned.password(user)) as client:
        for node in provisioned.nodes:
            await node.reload(accounts.read_text(), passwords, provisioned.nodes)
        async with connected(
            provisioned.url, user="water", seed=seed.read_text().strip(), inbox=department_inbox("water")
        ) as water:
            bound = water.jetstream(prefix=DEPARTMENT_API_PREFIX, timeout=CHECK_SECONDS_MAX)
            info = await bound.consumer_info("DEPARTMENTS", "water")
            assert info.config.filter_subject == "dept.water.>"
        assert client.stats["reconnects"] == 0
        assert client.is_connected


async def test_a_stranger_does_not_join_the_cluster(cluster: Cluster, tmp_path: Path) -> None:
    """A server without the password of the routes is turned away, so it can neither read nor vote."""
    own = (cluster.secrets / "nats-passwords.conf").read_text()
    passwords = tmp_path / "passwords.conf"
    passwords.write_text(own.replace(cluster.password("route"), "w" + "0" * 48))
    stranger = new_node("stranger", tmp_path)
    stranger.configure(passwords, cluster.nodes)
    await stranger.start()
    try:

        async def turned_away() -> bool:
            return "Authorization Violation" in stranger.log

        await until(turned_away, lambda: stranger.log)
        for node in cluster.nodes:
            routes: dict[str, Any] = await node.ask("/routez")
            names = {route["remote_name"] for route in routes["routes"]}
            assert names == {other.name for other in cluster.nodes} - {node.name}
    finally:
        await stranger.kill()


@pytest.mark.full
async def test_two_of_three_go_on_and_nothing_is_lost(provisioned: Cluster) -> None:
    """The leader of the log may die: what was acknowledged before and after is there when it is back."""
    async with connected(provisioned.url, user="intake", password=provisioned.password("intake")) as client:
        jetstream = JetStream(client)
        await jetstream.publish(_reported("before"))
        leader = (await jetstream.api("STREAM.INFO.CASES"))["cluster"]["leader"]
        (victim,) = [node for node in provisioned.nodes if node.name == leader]
        await victim.kill()
        await _published_in_time(jetstream, _reported("after"))
        await victim.start()
        await victim.until_healthy()
        info = await jetstream.api("STREAM.INFO.CASES")
    assert info["cluster"]["leader"] != leader
    assert info["state"]["messages"] == 2


def _reported(case: str) -> Message:
    return Message(f"case.{case}.reported.1", b"{}", {"Nats-Msg-Id": case})


async def _published_in_time(jetstream: JetStream, message: Message) -> None:
    # The same id each time: what got in without our hearing of it does not get in twice.
    async def published() -> bool:
        try:
            await jetstream.publish(message)
        except (NotNow, Unknown):  # a new leader is being elected
            return False
        return True

    await until(published, lambda: f"{message.subject} was never acknowledged")
