"""Connections by state, the longest statement and the longest transaction."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from harness.probes import ProbeSet
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.probes.conftest import Crowd, probe, total, until

pytestmark = pytest.mark.server


async def test_nobody_is_there_but_the_probes(probe_set: ProbeSet, postgres: Endpoint) -> None:
    samples = await probe(probe_set, "activity").sample(1.0)
    assert total(samples, "pg_stat_activity_count") == 0
    assert total(samples, "pg_settings_max_connections") == postgres.max_connections
    assert total(samples, "flashcrowd_longest_statement_seconds") == 0


async def test_five_are_idle_in_transaction(probe_set: ProbeSet, crowd: Crowd) -> None:
    for _ in range(5):
        await (await crowd.join()).execute("BEGIN")
    await crowd.join()
    samples = await probe(probe_set, "activity").sample(1.0)
    assert total(samples, "pg_stat_activity_count", state="idle in transaction") == 5
    assert total(samples, "pg_stat_activity_count", state="idle") == 1
    assert total(samples, "pg_stat_activity_count") == 6
    assert total(samples, "pg_stat_activity_count", wait_event_type="Lock") == 0


async def test_the_longest_statement_and_the_longest_transaction(probe_set: ProbeSet, crowd: Crowd) -> None:
    loop = asyncio.get_running_loop()
    idle, asleep = await crowd.join(), await crowd.join()
    opened = loop.time()
    await idle.execute("BEGIN; SELECT 1")
    opening_s = loop.time() - opened
    activity = probe(probe_set, "activity")
    begun = loop.time()
    crowd.start(asleep.execute("SELECT pg_sleep(60)"))

    async def asleep_for_a_second() -> bool:
        samples = await activity.sample(1.0)
        return total(samples, "flashcrowd_longest_statement_seconds") > 1.0

    await until(asleep_for_a_second)
    before = loop.time()
    samples = await activity.sample(1.0)
    after = loop.time()
    statement_s = total(samples, "flashcrowd_longest_statement_seconds")
    transaction_s = total(samples, "flashcrowd_longest_transaction_seconds")
    assert statement_s <= after - begun
    assert before - opened - opening_s <= transaction_s <= after - opened
    assert statement_s < transaction_s
    assert total(samples, "pg_stat_activity_count", state="active", wait_event="PgSleep") == 1


async def test_a_full_server_is_still_measured(probe_set: ProbeSet, crowd: Crowd, postgres: Endpoint) -> None:
    with pytest.raises(asyncpg.TooManyConnectionsError):
        for _ in range(postgres.max_connections):
            await crowd.join()
    samples = await probe(probe_set, "activity").sample(1.0)
    assert total(samples, "pg_stat_activity_count") == len(crowd.sessions)
    for one in probe_set.probes:
        assert await one.sample(2.0), one.name
