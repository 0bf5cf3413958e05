"""pg_stat_statements after minus before, and plans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.probes import ProbeSet, plans
from harness.probes.statements import difference, snapshot
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.probes.conftest import Crowd, of_postgres, probe

pytestmark = pytest.mark.server


async def test_what_the_load_did_and_nothing_of_the_probes(
    probe_set: ProbeSet, crowd: Crowd, postgres: Endpoint
) -> None:
    session = await crowd.join()
    await session.fetchval("SELECT n FROM counters WHERE id = $1", 1)
    before = await snapshot(of_postgres(probe_set).connection)
    for number in range(7):
        await session.fetchval("SELECT n FROM counters WHERE id = $1", number)
    async with session.transaction():
        await session.execute("UPDATE counters SET n = n + 5")
    for one in probe_set.probes:
        await one.sample(1.0)
    found = difference(before, await snapshot(of_postgres(probe_set).connection))
    calls = {cost.query: (cost.calls, cost.rows) for cost in found.costs}
    assert calls == {
        "SELECT n FROM counters WHERE id = $1": (7, 6),
        "UPDATE counters SET n = n + $1": (1, 10),
    }
    [update] = [cost for cost in found.costs if cost.query.startswith("UPDATE")]
    assert update.wal_bytes > 0
    assert update.total_exec_s > 0
    assert (found.evictions, found.was_reset) == (0, False)


async def test_plans_of_the_dearest_and_the_servers_words_where_there_is_none(
    probe_set: ProbeSet, crowd: Crowd, postgres: Endpoint, tmp_path: Path
) -> None:
    if postgres.version_num < 160000:
        pytest.skip("generic plans can be explained from version 16 on")
    session = await crowd.join()
    before = await snapshot(of_postgres(probe_set).connection)
    await session.fetchval("SELECT sum(n) FROM counters WHERE id > 3 AND n % 7 = 0")
    await session.fetchval("SELECT interval '1 day'")  # its normalised text is no valid statement
    await session.fetchval("SELECT '100%' LIKE '%0%' AND n > 0 FROM counters")
    costs = difference(before, await snapshot(of_postgres(probe_set).connection)).costs
    assert len(costs) == 3
    planned = await plans.explain(postgres.dsn(), costs, tmp_path)
    assert planned == 2
    for number, cost in enumerate(costs, start=1):
        entry = json.loads((tmp_path / "plans" / f"{number}.json").read_text())
        assert entry["query"] == cost.query
        assert entry["generic"] is True
        if "interval" in cost.query:
            assert entry["plan"] is None
            assert entry["error"].startswith("42601")
        else:
            assert "counters" in json.dumps(entry["plan"][0]["Plan"])
            assert "error" not in entry
    assert not (tmp_path / "plans" / "4.json").exists()
    assert (await probe(probe_set, "activity").sample(1.0)) is not None


async def test_only_the_dearest_are_explained(
    probe_set: ProbeSet, crowd: Crowd, postgres: Endpoint, tmp_path: Path
) -> None:
    if postgres.version_num < 160000:
        pytest.skip("generic plans can be explained from version 16 on")
    session = await crowd.join()
    before = await snapshot(of_postgres(probe_set).connection)
    await session.fetchval("SELECT count(*) FROM counters")
    await session.fetchval("SELECT max(id) FROM counters")
    costs = difference(before, await snapshot(of_postgres(probe_set).connection)).costs
    assert await plans.explain(postgres.dsn(), costs, tmp_path, top=1) == 1
    assert [path.name for path in (tmp_path / "plans").iterdir()] == ["1.json"]
