"""What all tests may ask for."""

import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from cli.stack.rulebook import example_in
from cli.stack.state import Stack
from tests.support.faults import SEED_VARIABLE
from tests.support.stack import SERVERS_ONLY, running

EVERYTHING = ""
"""No mark is left out: with `--full`, or a file alone."""
SEED = "311"


def pytest_configure(config: pytest.Config) -> None:
    """What chance decides: the same in every ordinary run, else anew.

    And what is started here can be interrupted, also where these tests run in the background of a shell.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    always_the_same = config.getoption("markexpr") != EVERYTHING
    if always_the_same:
        os.environ.setdefault(SEED_VARIABLE, SEED)
    settings.register_profile(
        "whistle",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
        derandomize=always_the_same,
    )
    settings.load_profile("whistle")


@pytest.fixture(autouse=True)
def log_lines_as_before() -> Iterator[None]:
    """A command that runs in this process sets where log lines go, and which: not for the tests after it."""
    before = structlog.get_config() if structlog.is_configured() else None
    yield
    if before is not None:
        structlog.configure(**before)
    elif structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole stack, servers and all services, one for each test module; the example city at a clock's own pace.

    So no time limit, which is seconds in the exercise, runs out because the machine is busy.
    """
    with running(policy_dir=example_in(tmp_path_factory.mktemp("policy") / "city", time_lapse=1)) as whole:
        yield whole


@pytest.fixture(scope="module")
def servers() -> Iterator[Stack]:
    """NATS and PostgreSQL with all users, roles, streams and consumers, but no service: one for each module."""
    with running(SERVERS_ONLY) as bare:
        yield bare
