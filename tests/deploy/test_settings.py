"""What the containers are given is what the code reads: variables, secrets, ports and probes."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr

from cli.stack.databases import VAULT_MASTER, VAULT_ROLES
from libs.events import web
from libs.events.settings import (
    BusSettings,
    DatabaseSettings,
    HttpSettings,
    Settings,
    TelemetrySettings,
    read,
    variable,
)

from .manifests import (
    ROOT,
    SERVICES,
    WITH_TABLES,
    Container,
    Object,
    compose_container,
    environment_below,
    kubernetes_container,
    mount,
    named,
    pod_of,
)

WAYS = ("kubernetes", "compose")
# Provisioning connects with users of its own, whose passwords it finds by name.
PROVISION = {
    "WHISTLE_NATS_URL",
    "WHISTLE_STREAM_REPLICAS",
    "WHISTLE_SECRETS_DIR",
    "WHISTLE_POSTGRES_DSN_FILE",
}


def settings_of(service: str) -> type[Settings]:
    """The one settings class of a service."""
    module = import_module(f"services.{service}.settings")
    (found,) = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Settings) and each.__module__ == module.__name__
    ]
    return found


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Kubernetes or Compose."""
    return str(request.param)


def container_of(way: str, name: str, trial: list[Object], compose: Object) -> Container:
    """The container that runs a service, or provisioning, in this way of deploying."""
    if way == "compose":
        return compose_container(name, compose)
    workload = (
        named(trial, "Job", name) if name == "provision" else named(trial, "Deployment", f"whistle-{name}")
    )
    return kubernetes_container(workload, trial)


@pytest.mark.parametrize("service", SERVICES)
def test_variables_are_those_of_the_settings(
    service: str, way: str, trial: list[Object], compose: Object
) -> None:
    """None that nobody reads, none missing that has no default, no secret outside a file."""
    fields = settings_of(service).model_fields
    secret = {
        name for name, field in fields.items() if SecretStr in {field.annotation, *get_args(field.annotation)}
    }
    known = {variable(name) + ("_FILE" if name in secret else "") for name in fields}
    required = {
        variable(name) + ("_FILE" if name in secret else "")
        for name, field in fields.items()
        if field.is_required()
    }
    given = set(container_of(way, service, trial, compose).environment)
    assert given - known == set(), "nobody reads these"
    assert required - given == set(), "these are missing"


@pytest.mark.parametrize("service", SERVICES)
def test_the_service_could_read_its_settings(
    service: str,
    way: str,
    trial: list[Object],
    compose: Object,
    deploy_copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The settings are really read, from secrets laid out as they are in the container; each is its own."""
    secrets = deploy_copy / "k8s/overlays/trial/secrets"
    container = container_of(way, service, trial, compose)
    root = mount(container, trial, secrets, tmp_path)
    for name, value in environment_below(container, root).items():
        monkeypatch.setenv(name, value)
    settings = read(settings_of(service))
    assert isinstance(settings, BusSettings)
    assert isinstance(settings, HttpSettings)
    assert settings.nats_user == service
    assert settings.nats_password.get_secret_value() == (secrets / service).read_text()
    assert settings.http_host == "0.0.0.0"
    if isinstance(settings, DatabaseSettings):
        login = f"whistle_{service}:{(secrets / f'whistle_{service}').read_text()}"
        assert settings.postgres_dsn.get_secret_value() == f"postgresql://{login}@postgres:5432/whistle"


def test_every_secret_file_is_mounted(way: str, trial: list[Object], compose: Object) -> None:
    """What a `_FILE` variable names is there, and nothing is mounted that no variable names."""
    for service in SERVICES:
        container = container_of(way, service, trial, compose)
        named_files = {value for name, value in container.environment.items() if name.endswith("_FILE")}
        assert named_files == set(container.secret_files), container.origin


@pytest.mark.parametrize("service", SERVICES)
def test_the_module_is_there(service: str, way: str, trial: list[Object], compose: Object) -> None:
    """What the container runs exists in what the image holds."""
    (module,) = container_of(way, service, trial, compose).args
    assert (ROOT / Path(*module.split("."))).with_suffix(".py").is_file(), module


def test_the_port_is_the_one_that_is_listened_on(trial: list[Object], compose: Object) -> None:
    """One port, in the variable, the container, the probe and the publication."""
    for service in SERVICES:
        (container,) = pod_of(named(trial, "Deployment", f"whistle-{service}"))["containers"]
        listened = kubernetes_container(named(trial, "Deployment", f"whistle-{service}"), trial).environment
        (port,) = container["ports"]
        assert str(port["containerPort"]) == listened["WHISTLE_HTTP_PORT"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["port"] == port["name"]
        published = compose["services"][service]["ports"]
        in_compose = compose_container(service, compose).environment["WHISTLE_HTTP_PORT"]
        assert [each.rpartition(":")[2] for each in published] == [in_compose]
        assert f"127.0.0.1:{in_compose}/readyz" in compose["services"][service]["healthcheck"]["test"][-1]


async def _never_asked() -> web.Readiness:
    raise AssertionError


def test_probes_ask_for_what_services_answer(trial: list[Object]) -> None:
    """Liveness must not be readiness: a service that waits for the log must not be restarted for it."""
    answered = {getattr(route, "path", "") for route in web.service_app("any", _never_asked).routes}
    for service in SERVICES:
        deployment = named(trial, "Deployment", f"whistle-{service}")
        (container,) = pod_of(deployment)["containers"]
        assert container["startupProbe"]["httpGet"]["path"] == "/healthz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        assert {"/healthz", "/readyz", annotations["prometheus.io/path"]} <= answered
        assert container["readinessProbe"]["timeoutSeconds"] > web.READY_SECONDS_MAX
        pause = 5  # of the preStop hook
        assert pod_of(deployment)["terminationGracePeriodSeconds"] > web.STOP_SECONDS_MAX + pause


def test_provisioning_gets_what_it_needs(way: str, trial: list[Object], compose: Object) -> None:
    """Its command exists, and every file it opens by name is mounted where it looks."""
    container = container_of(way, "provision", trial, compose)
    assert container.args == ("cli", "provision")
    helped = subprocess.run(
        [sys.executable, "-m", *container.args, "--help"],
        check=False,
        capture_output=True,
        cwd=ROOT,
        timeout=180,
    )
    assert helped.returncode == 0, "the command line knows no such command"
    telemetry = {variable(name) for name in TelemetrySettings.model_fields}
    assert set(container.environment) - telemetry == PROVISION
    folder = container.environment["WHISTLE_SECRETS_DIR"]
    roles = (*(f"whistle_{service}" for service in WITH_TABLES), *VAULT_ROLES, VAULT_MASTER)
    users = ("provision", "provision-bus", "keys", *roles)
    assert {f"{folder}/{user}" for user in users} < set(container.secret_files)
    assert container.environment["WHISTLE_POSTGRES_DSN_FILE"] in container.secret_files


def test_every_stream_lies_on_every_server(way: str, trial: list[Object], compose: Object) -> None:
    """Provisioning makes, and services expect, as many replicas as there are servers, and know all of them."""
    for name in ("provision", *SERVICES):
        environment = container_of(way, name, trial, compose).environment
        servers = environment["WHISTLE_NATS_URL"].split(",")
        assert environment["WHISTLE_STREAM_REPLICAS"] == str(len(servers)), name
        assert set(servers) == {f"nats://nats-{number}.nats:4222" for number in range(3)}
