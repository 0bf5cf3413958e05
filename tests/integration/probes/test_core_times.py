"""What others use of the server's core, against the neighbour's own clock and what psutil says of core and server."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from harness.probes import ProbeSet
from harness.probes.probe import Probe
from harness.record import format as layout
from harness.record.points import points
from harness.record.reader import Run
from harness.record.writer import SampleWriter, write_json
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.probes.conftest import Connection, Crowd, probe, until
from tests.integration.probes.neighbour import cpu_s, neighbour, worked_s

pytestmark = pytest.mark.server

BURN = "SELECT count(*) FROM generate_series(1, 1500000) i WHERE i % 7 = 3"
BURNT_S = 0.45
#: Clocks count in hundredths of a second, and a core's time in most modes is what a timer saw some hundred times a second.
NEAR_S, NEAR_SHARE = 0.15, 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a test itself saw before or after a tick."""

    core_s: float
    server_s: float

    @classmethod
    def of(cls, postgres: Endpoint) -> Account:
        main = psutil.Process(postgres.postmaster_pid)
        ended = main.cpu_times()
        family_s = sum(cpu_s(one) for one in (main, *main.children()))
        return cls(
            core_s=worked_s(postgres.cores or ()), server_s=family_s + ended.children_user + ended.children_system
        )


async def burn(session: Connection, postgres: Endpoint) -> None:
    """Have the server use some of its core, however quick that is."""
    begun_s = Account.of(postgres).server_s

    async def burnt() -> bool:
        await session.fetchval(BURN)
        return Account.of(postgres).server_s - begun_s >= BURNT_S

    await until(burnt)


class Ticks:
    """Ticks of the probe at the test's own moments, recorded, each between two accounts of the test's own."""

    def __init__(self, usage: Probe, postgres: Endpoint, folder: Path) -> None:
        self._usage, self._postgres, self._folder = usage, postgres, folder
        self._samples, self._began_s = SampleWriter(folder), time.monotonic()
        self.before: list[Account] = []
        self.after: list[Account] = []

    async def tick(self) -> None:
        self.before.append(Account.of(self._postgres))
        at_s = time.monotonic() - self._began_s
        self._samples.append("usage", at_s, 0.001, await self._usage.sample(at_s))
        self.after.append(Account.of(self._postgres))

    def run(self) -> Run:
        self._samples.close()
        write_json(self._folder / layout.RUN, {"format": layout.VERSION})
        return Run(self._folder)


@pytest.fixture
async def ticks(probe_set: ProbeSet, crowd: Crowd, postgres: Endpoint, tmp_path: Path) -> Ticks:
    if postgres.cores is None or len(postgres.cores) == psutil.cpu_count():
        pytest.skip("the server has no core of its own on this machine")
    return Ticks(probe(probe_set, "usage"), postgres, tmp_path)


def used_s(run: Run, series: str, postgres: Endpoint) -> list[float]:
    """Seconds of its cores in each step between ticks."""
    found = points(run, series)
    times = run.arrays("SELECT DISTINCT at_s FROM samples ORDER BY at_s")["at_s"]
    begins = {end: begin for begin, end in pairwise(times)}
    return [
        value * (at_s - begins[at_s]) * len(postgres.cores or ())
        for at_s, value in zip(found.at_s, found.value, strict=True)
    ]


async def test_a_neighbours_time_is_told_from_the_servers(ticks: Ticks, crowd: Crowd, postgres: Endpoint) -> None:
    assert postgres.cores is not None
    session = await crowd.join()
    await ticks.tick()
    await burn(session, postgres)  # the server alone, as far as we are concerned
    await ticks.tick()
    with neighbour(postgres.cores[-1], seconds=1.2) as other:
        begun_s = cpu_s(other)

        async def both_worked() -> bool:
            await session.fetchval(BURN)
            return cpu_s(other) >= 1.0

        await until(both_worked)
        neighbours_s = cpu_s(other) - begun_s
        await ticks.tick()
    run = ticks.run()
    others, steal = (used_s(run, f"server.core.{what}", postgres) for what in ("others", "steal"))
    server = used_s(run, "postgres.cpu", postgres)
    assert len(others) == len(steal) == len(server) == 2
    for step in range(2):
        # Whoever else was there: it is the core's time without the server's, by an account between whose lines the tick lies.
        least_s = ticks.before[step + 1].core_s - ticks.after[step].core_s
        least_s -= ticks.after[step + 1].server_s - ticks.before[step].server_s
        most_s = ticks.after[step + 1].core_s - ticks.before[step].core_s
        most_s -= ticks.before[step + 1].server_s - ticks.after[step].server_s
        near_s = NEAR_S + NEAR_SHARE * (ticks.after[step + 1].core_s - ticks.before[step].core_s)
        assert least_s - near_s <= others[step] <= max(0.0, most_s) + near_s
    assert server[0] > 0.3
    assert server[1] > 0.1
    assert others[1] >= neighbours_s - NEAR_S > 0.5


async def test_raw_times_give_the_same(ticks: Ticks, crowd: Crowd, postgres: Endpoint) -> None:
    session = await crowd.join()
    await ticks.tick()
    await burn(session, postgres)
    await ticks.tick()
    run = ticks.run()
    raw = "metric = 'node_cpu_seconds_total' AND labels ->> '$.mode' IN ('user', 'nice', 'system', 'irq', 'softirq')"
    held = [str(core) for core in postgres.cores or ()]
    [(worked,)] = run.query(
        f"SELECT sum(most - least) FROM (SELECT max(value) AS most, min(value) AS least FROM samples WHERE {raw} AND "
        "list_contains(?, labels ->> '$.cpu') GROUP BY labels)",
        [held],
    )
    [others], [server] = (used_s(run, series, postgres) for series in ("server.core.others", "postgres.cpu"))
    assert others == pytest.approx(max(0.0, worked - server), abs=NEAR_S + NEAR_SHARE * worked)
    modes = run.query("SELECT DISTINCT labels ->> '$.mode' FROM samples WHERE metric = 'node_cpu_seconds_total'")
    assert {"user", "system", "idle", "iowait", "steal"} <= {mode for (mode,) in modes}
