"""What all tests may ask for."""

from collections.abc import Iterator

import pytest

from cli.stack.state import Stack
from tests.support.stack import SERVERS_ONLY, running


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A whole stack, servers and all services, with the example rule book: one for each test module."""
    with running() as whole:
        yield whole


@pytest.fixture(scope="module")
def servers() -> Iterator[Stack]:
    """NATS and PostgreSQL with all users, roles, streams and consumers, but no service: one for each module."""
    with running(SERVERS_ONLY) as bare:
        yield bare
