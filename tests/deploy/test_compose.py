"""The Compose file: nothing open to the network, nothing secret in it, everything bounded and watched."""

from pathlib import Path

import pytest

from .manifests import SERVICES, Object, kubernetes_container, named, workloads

LOG = ("nats-0", "nats-1", "nats-2")
ALL = (*LOG, "postgres", "provision", *SERVICES)


def test_it_is_the_whole_of_it(compose: Object) -> None:
    """Three servers of the log, PostgreSQL, provisioning and the services: no more, no less."""
    assert set(compose["services"]) == set(ALL)


def test_ports_are_published_on_loopback_only(compose: Object) -> None:
    """A port without an address would be open to the whole network, past the host's firewall."""
    published = [port for each in compose["services"].values() for port in each.get("ports", ())]
    assert published
    assert all(isinstance(port, str) and port.startswith("127.0.0.1:") for port in published), published
    assert len({port.split(":")[1] for port in published}) == len(published), "two want the same port"


@pytest.mark.parametrize("name", ALL)
def test_each_container_is_hardened_and_bounded(name: str, compose: Object) -> None:
    """Read-only, without rights it does not need, with an end to memory, processor, processes and log."""
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"mem_limit", "cpus", "pids_limit", "stop_grace_period", "logging"} <= set(service)
    assert service["restart"] == ("no" if name == "provision" else "unless-stopped")
    assert not {"privileged", "network_mode", "pid", "env_file"} & set(service)


@pytest.mark.parametrize("name", ALL)
def test_each_container_is_watched_and_waited_for(name: str, compose: Object) -> None:
    """Whoever needs a server waits until it is healthy, and the services until provisioning has ended well."""
    service = compose["services"][name]
    needs = {other: each["condition"] for other, each in service.get("depends_on", {}).items()}
    servers = dict.fromkeys((*LOG, "postgres"), "service_healthy")
    if name == "provision":
        assert needs == servers
    else:
        assert service["healthcheck"]["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
        after = {"provision": "service_completed_successfully"}
        assert needs == (servers | after if name in SERVICES else {})


def test_everything_named_is_declared_and_everything_declared_is_used(compose: Object) -> None:
    """Secrets, volumes and networks."""
    secrets: set[str] = set()
    volumes: set[str] = set()
    networks: set[str] = set()
    for service in compose["services"].values():
        secrets |= {each if isinstance(each, str) else each["source"] for each in service.get("secrets", ())}
        mounts = {each.split(":")[0] for each in service.get("volumes", ())}
        volumes |= {each for each in mounts if not each.startswith(".")}
        networks |= set(service["networks"])
    assert secrets == set(compose["secrets"])
    assert volumes == set(compose["volumes"])
    assert networks == set(compose["networks"])


def test_the_log_and_the_database_keep_their_data_in_volumes_of_their_own(compose: Object) -> None:
    """The ledger too. Two servers that shared one folder would be one server."""
    kept = [
        each
        for name in (*LOG, "postgres", "ledger")
        for each in compose["services"][name]["volumes"]
        if each[0] != "."
    ]
    assert len(kept) == len(set(kept)) == len(LOG) + 2


def test_the_servers_are_out_of_reach_from_outside(compose: Object) -> None:
    """Only the services, and one server of the log for departments, have a network with a way out."""
    assert compose["networks"]["inside"]["internal"] is True
    outside = {name for name, each in compose["services"].items() if "outside" in each["networks"]}
    assert outside == {*SERVICES, "nats-0"}


def test_secrets_are_the_files_that_the_documented_command_makes(compose: Object, deploy_copy: Path) -> None:
    """Each from its own file, below a folder that git ignores; none in the Compose file."""
    made = {path.name for path in (deploy_copy / "k8s/overlays/trial/secrets").iterdir()}
    for name, secret in compose["secrets"].items():
        assert set(secret) == {"file"}, name
        folder, _, file = secret["file"].rpartition("/")
        assert folder == "./.whistle/compose-secrets"
        assert file in made
        assert name in {file, file.removesuffix(".conf")}
    for service in compose["services"].values():
        for variable in service.get("environment", {}):
            assert not variable.endswith(("PASSWORD", "SECRET", "DSN")), f"{variable} belongs in a file"


def test_images_are_those_of_kubernetes(compose: Object, trial: list[Object]) -> None:
    """The same versions everywhere: what was tried in one is what runs in the other."""
    in_kubernetes = {kubernetes_container(each, trial).image for each in workloads(trial)}
    assert {each["image"] for each in compose["services"].values()} == in_kubernetes


def test_environment_is_that_of_kubernetes(compose: Object, trial: list[Object]) -> None:
    """Values may differ by the names of hosts and files; the variables are the same."""
    for service in SERVICES:
        deployment = kubernetes_container(named(trial, "Deployment", f"whistle-{service}"), trial)
        assert set(compose["services"][service]["environment"]) == set(deployment.environment)


def test_each_server_of_the_log_has_its_own_name(compose: Object) -> None:
    """The name, the address under which the others find it, and nothing else differs."""
    for name in LOG:
        service = compose["services"][name]
        assert service["command"] == ["--config=/etc/nats/nats.conf", f"--cluster_advertise={name}.nats:6222"]
        assert service["environment"] == {"GOMEMLIMIT": "819MiB", "WHISTLE_SERVER_NAME": name}
        assert service["networks"]["inside"]["aliases"] == [f"{name}.nats"]
