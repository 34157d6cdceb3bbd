"""Reading what is deployed: rendered Kubernetes objects and the Compose file, in one shape."""

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
WITH_TABLES = ("intake", "dispatch", "evaluation", "notify")
SERVICES = (*WITH_TABLES, "ledger")
RENDER_SECONDS_MAX = 180

Object = dict[str, Any]


def program(name: str) -> Path:
    """A program that a development package brought into this environment."""
    return Path(sysconfig.get_path("scripts")) / name


def kustomize(folder: Path) -> list[Object]:
    """The objects that `kubectl apply -k` would send."""
    done = subprocess.run(
        [program("kubectl"), "kustomize", folder],
        check=False,
        capture_output=True,
        text=True,
        timeout=RENDER_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stderr
    # What kustomize only warns about is deprecated or does nothing.
    assert not done.stderr, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def copy_of_deploy(target: Path) -> Path:
    """A copy of `deploy/` in which the secrets of the trial overlay have been made, as an operator would."""
    shutil.copytree(ROOT / "deploy", target, ignore=shutil.ignore_patterns("secrets", "__pycache__"))
    make_secrets(target, target / "k8s/overlays/trial/secrets")
    return target


def make_secrets(deploy: Path, folder: Path) -> None:
    """Run the documented command."""
    subprocess.run(
        [sys.executable, deploy / "make_secrets.py", "--dir", folder],
        check=True,
        capture_output=True,
        timeout=RENDER_SECONDS_MAX,
    )


def script(name: str) -> ModuleType:
    """A script of deploy, which is no package."""
    specification = importlib.util.spec_from_file_location(name, ROOT / "deploy" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def label(thing: Object) -> str:
    """How a failing test names an object."""
    return f"{thing['kind']}/{thing['metadata']['name']}"


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """The objects of these kinds."""
    return [each for each in objects if each["kind"] in kinds]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of this kind and name."""
    (found,) = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return found


def workloads(objects: list[Object]) -> list[Object]:
    """Everything that runs pods."""
    return of_kind(objects, "Deployment", "StatefulSet", "Job", "DaemonSet", "CronJob", "Pod")


def pod_of(workload: Object) -> Object:
    """The specification of a workload's pods."""
    pod: Object = workload["spec"]["template"]["spec"]
    return pod


@dataclass(frozen=True, slots=True)
class Container:
    """One container, wherever it is described."""

    origin: str
    image: str
    args: tuple[str, ...]
    environment: dict[str, str]
    secret_files: dict[str, str]
    """Path in the container of each file that comes from a secret, and the name of that secret (`object/key`)."""


def kubernetes_container(workload: Object, objects: list[Object]) -> Container:
    """The only container of a workload; what its secret volumes hold is looked up among *objects*."""
    (container,) = pod_of(workload)["containers"]
    return Container(
        origin=label(workload),
        image=container["image"],
        args=tuple(container.get("args", ())),
        # A value that comes from elsewhere (a field, a secret) counts as set.
        environment={each["name"]: each.get("value", "<from>") for each in container.get("env", ())},
        secret_files=dict(_mounted_secrets(workload, container, objects)),
    )


def _mounted_secrets(workload: Object, container: Object, objects: list[Object]) -> Iterator[tuple[str, str]]:
    volumes = {volume["name"]: volume for volume in pod_of(workload).get("volumes", ())}
    for mount in container.get("volumeMounts", ()):
        volume = volumes.get(mount["name"], {})
        if "secret" in volume:
            secret = volume["secret"]["secretName"]
            for key in named(objects, "Secret", secret)["data"]:
                yield f"{mount['mountPath']}/{key}", f"{secret}/{key}"


def compose_file() -> Object:
    """The Compose file, its anchors resolved."""
    content: Object = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return content


def compose_container(name: str, compose: Object) -> Container:
    """One service of the Compose file."""
    service = compose["services"][name]
    return Container(
        origin=f"compose/{name}",
        image=service["image"],
        args=tuple(service.get("command", ())),
        environment=dict(service.get("environment", {})),
        secret_files={path: compose["secrets"][source]["file"] for path, source in _compose_secrets(service)},
    )


def mount(container: Container, objects: list[Object], secrets: Path, root: Path) -> Path:
    """Lay the secrets of *container* out below *root* as they lie in it; *secrets* is where Compose takes them from."""
    for path, source in container.secret_files.items():
        inside = root / path.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        if source.startswith("."):
            shutil.copyfile(secrets / Path(source).name, inside)
        else:
            secret, key = source.split("/")
            inside.write_bytes(b64decode(named(objects, "Secret", secret)["data"][key]))
    return root


def environment_below(container: Container, root: Path) -> dict[str, str]:
    """The environment of *container* with the addresses of files moved below *root*."""
    return {
        name: str(root / value.lstrip("/")) if name.endswith(("_FILE", "_DIR")) else value
        for name, value in container.environment.items()
    }


def _compose_secrets(service: Object) -> Iterator[tuple[str, str]]:
    for each in service.get("secrets", ()):
        source, target = (each, each) if isinstance(each, str) else (each["source"], each["target"])
        yield target if target.startswith("/") else f"/run/secrets/{target}", source
