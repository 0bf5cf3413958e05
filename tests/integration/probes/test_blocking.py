"""Sessions behind sessions, as deep as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.probes import ProbeSet
from harness.record import format as layout
from tests.integration.probes.conftest import Crowd, probe, total, until_waiting

pytestmark = pytest.mark.server


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / layout.BLOCKING).read_text().splitlines()]


async def test_nobody_waits(probe_set: ProbeSet, tmp_path: Path) -> None:
    samples = await probe(probe_set, "blocking").sample(1.0)
    assert total(samples, "flashcrowd_blocked_sessions") == 0
    assert total(samples, "flashcrowd_block_tree_depth") == 0
    assert lines(tmp_path) == []


async def test_one_behind_another_and_three_deep(probe_set: ProbeSet, crowd: Crowd, tmp_path: Path) -> None:
    sessions = [await crowd.join() for _ in range(4)]
    pids = [session.get_server_pid() for session in sessions]
    watcher = await crowd.join(superuser=True)
    blocking = probe(probe_set, "blocking")
    # each holds row i and waits for row i - 1, which the one before it holds
    for number, session in enumerate(sessions):
        await session.execute(f"BEGIN; UPDATE counters SET n = n + 1 WHERE id = {number + 1}")
    for number in (1, 2, 3):
        crowd.start(sessions[number].execute(f"UPDATE counters SET n = n + 1 WHERE id = {number}"))
        await until_waiting(watcher, pids[number])
        samples = await blocking.sample(float(number))
        assert total(samples, "flashcrowd_blocked_sessions") == number
        assert total(samples, "flashcrowd_block_tree_depth") == number
    line = lines(tmp_path)[-1]
    chain, nodes = [], line["trees"]
    while nodes:
        [node] = nodes
        chain.append(node)
        nodes = node["blocked"]
    assert [node["pid"] for node in chain] == pids
    assert chain[0]["state"] == "idle in transaction"
    assert chain[3]["statement"] == "UPDATE counters SET n = n + 1 WHERE id = 3"
    assert chain[3]["wait_event"] == "Lock:transactionid"
    assert chain[3]["blocked_by"] == [pids[2]]
    # an independent source: the server's own function, asked by somebody else
    assert await watcher.fetchval("SELECT pg_blocking_pids($1)", pids[3]) == [pids[2]]


async def test_a_deadlock_in_the_making_is_a_cycle(probe_set: ProbeSet, crowd: Crowd) -> None:
    first, second = await crowd.join(superuser=True), await crowd.join(superuser=True)
    watcher = await crowd.join(superuser=True)
    for session in (first, second):
        await session.execute("SET deadlock_timeout = '60s'")
    await first.execute("BEGIN; UPDATE counters SET n = n + 1 WHERE id = 1")
    await second.execute("BEGIN; UPDATE counters SET n = n + 1 WHERE id = 2")
    crowd.start(first.execute("UPDATE counters SET n = n + 1 WHERE id = 2"))
    crowd.start(second.execute("UPDATE counters SET n = n + 1 WHERE id = 1"))
    await until_waiting(watcher, first.get_server_pid(), second.get_server_pid())
    samples = await probe(probe_set, "blocking").sample(1.0)
    assert total(samples, "flashcrowd_blocked_sessions") == 2
    assert total(samples, "flashcrowd_block_tree_depth") == 2
