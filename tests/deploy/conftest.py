"""What is deployed, rendered once for all tests of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from .cluster import Cluster
from .manifests import ROOT, Object, compose_file, copy_of_deploy, kustomize


@pytest.fixture(scope="session")
def deploy_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `deploy/` with the secrets of a trial."""
    return copy_of_deploy(tmp_path_factory.mktemp("operator") / "deploy")


@pytest.fixture(scope="session")
def base() -> list[Object]:
    """The Kubernetes base."""
    return kustomize(ROOT / "deploy/k8s/base")


@pytest.fixture(scope="session")
def trial(deploy_copy: Path) -> list[Object]:
    """The trial overlay, secrets and PostgreSQL included."""
    return kustomize(deploy_copy / "k8s/overlays/trial")


@pytest.fixture(scope="session")
def compose() -> Object:
    """The Compose file."""
    return compose_file()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(deploy_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Three servers of the log with the deployed configuration, still empty."""
    made = Cluster(tmp_path_factory.mktemp("cluster"), deploy_copy / "k8s/overlays/trial/secrets")
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
