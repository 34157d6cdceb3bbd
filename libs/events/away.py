"""What says that PostgreSQL is away, or has no room at this moment: it passes by itself."""

from typing import Final

import asyncpg

DATABASE_AWAY: Final = (
    ConnectionError,
    TimeoutError,
    asyncpg.InterfaceError,  # the connection is closed, or the pool is
    asyncpg.InternalClientError,  # the server said that it ends, and the connection is not closed yet
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # the server is starting up or shutting down
    asyncpg.InsufficientResourcesError,
)
