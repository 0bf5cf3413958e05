"""What drivers say when a real server ends a session, and how that is named."""

from __future__ import annotations

import asyncio

import asyncpg
import psycopg
import pytest

from harness.load.locust_side.outcome import outcome_of
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.command import until

pytestmark = pytest.mark.server


def ended(postgres: Endpoint, pid: int) -> None:
    """End a session. Blocks the event loop, so that its client reads nothing of it meanwhile."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", [pid])
        left = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        until(lambda: admin.execute(left, [pid]).fetchone() == (0,), "the session's end")


async def test_a_session_that_ends_around_a_statement_is_a_connection_lost(postgres: Endpoint) -> None:
    said: list[BaseException] = []
    for turns in range(6):  # of the event loop, in which the client reads first the server's farewell, then the end
        connection = await asyncpg.connect(postgres.dsn())
        try:
            ended(postgres, connection.get_server_pid())
            for _ in range(turns):
                await asyncio.sleep(0)
            with pytest.raises(Exception) as raised:
                await connection.fetch("SELECT 1")
            said.append(raised.value)
        finally:
            connection.terminate()
    assert {outcome_of(error) for error in said} <= {"57P01", "connection_lost"}, said
    assert any(isinstance(error, asyncpg.InternalClientError) for error in said), said
