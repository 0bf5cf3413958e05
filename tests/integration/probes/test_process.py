"""CPU and memory of the server, against what the system says of a single session and against the exact share of each page."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from harness.probes import ProbeSet
from harness.stack.postgres import Endpoint
from tests.integration.probes.conftest import Crowd, probe, total, until

pytestmark = pytest.mark.server

CPU = "container_cpu_usage_seconds_total"
MEMORY = "container_memory_working_set_bytes"
BURN = "SELECT count(*) FROM generate_series(1, 4000000) i WHERE i % 7 = 3"


async def test_what_a_session_burns_is_in_it(probe_set: ProbeSet, crowd: Crowd) -> None:
    process = probe(probe_set, "process")
    session = await crowd.join()
    backend = psutil.Process(session.get_server_pid())
    await session.fetchval(BURN)
    own_before = sum(backend.cpu_times()[:2])
    before = await process.sample(1.0)
    for _ in range(4):
        await session.fetchval(BURN)
    after = await process.sample(2.0)
    own = sum(backend.cpu_times()[:2]) - own_before
    burnt = total(after, CPU) - total(before, CPU)
    # the rest of the server (checkpointer, statistics) does little meanwhile; psutil counts in hundredths of a second
    assert burnt == pytest.approx(own, rel=0.05, abs=0.05)
    assert own > 0.2


async def test_what_a_session_burnt_stays_after_it_has_ended(probe_set: ProbeSet, crowd: Crowd) -> None:
    process = probe(probe_set, "process")
    before = total(await process.sample(1.0), CPU)
    session = await crowd.join()
    pid = session.get_server_pid()
    for _ in range(3):
        await session.fetchval(BURN)
    own = sum(psutil.Process(pid).cpu_times()[:2])
    await session.close()

    async def gone() -> bool:
        return not psutil.pid_exists(pid)

    await until(gone)
    assert total(await process.sample(2.0), CPU) - before == pytest.approx(own, rel=0.05, abs=0.05)


async def test_memory_is_near_the_exact_share_of_each_page(
    probe_set: ProbeSet, crowd: Crowd, postgres: Endpoint
) -> None:
    sessions = [await crowd.join() for _ in range(20)]
    for session in sessions:
        await session.fetchval("SELECT count(*) FROM items")
    main = psutil.Process(postgres.postmaster_pid)
    family = [main, *main.children()]
    rollups = [Path(f"/proc/{one.pid}/smaps_rollup") for one in family]
    if not rollups[0].exists():
        pytest.skip("this system does not tell the exact share")
    exact = sum(_share(path) for path in rollups)
    # the first reading asks many processes what they share, so it is near already
    measured = total(await probe(probe_set, "process").sample(1.0), MEMORY)
    resident = sum(one.memory_info().rss for one in family)
    assert measured == pytest.approx(exact, rel=0.2)
    assert measured < resident / 2, "a sum of resident sizes counts the shared memory over and over"


async def test_the_allotment_is_the_endpoints(probe_set: ProbeSet, postgres: Endpoint) -> None:
    samples = await probe(probe_set, "process").sample(1.0)
    assert total(samples, "flashcrowd_cpu_allotment_cores", name="postgres") == postgres.cpus


def _share(rollup: Path) -> int:
    """A process's share of each page, bytes: private and shared memory, not mapped files, which are the page cache's."""
    fields = dict(line.split(":", 1) for line in rollup.read_text().splitlines()[1:])
    return sum(int(fields[key].split()[0]) * 1024 for key in ("Pss_Anon", "Pss_Shmem"))
