"""CPU and memory of the server, against what the system says of a single session and against the exact share of each page."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from harness.probes import ProbeSet
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.probes.conftest import Crowd, probe, total, until

pytestmark = pytest.mark.server

CPU = "container_cpu_usage_seconds_total"
MEMORY = "container_memory_working_set_bytes"
BURN = "SELECT count(*) FROM generate_series(1, 4000000) i WHERE i % 7 = 3"


async def test_what_a_session_burns_is_in_it(probe_set: ProbeSet, crowd: Crowd) -> None:
    process = probe(probe_set, "usage")
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
    process = probe(probe_set, "usage")
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


async def test_memory_is_the_private_share_of_each_page_and_the_most_that_one_process_shares(
    probe_set: ProbeSet, crowd: Crowd, postgres: Endpoint
) -> None:
    sessions = [await crowd.join() for _ in range(20)]
    for session in sessions:
        await session.fetchval("SELECT count(*) FROM items")
    main = psutil.Process(postgres.postmaster_pid)
    family = [main, *main.children()]
    if not Path(f"/proc/{main.pid}/smaps_rollup").exists():
        pytest.skip("this system does not tell the exact share")
    # the first reading asks many processes what they share, so it is near already
    measured = total(await probe(probe_set, "usage").sample(1.0), MEMORY)
    private = sum(_rollup(one.pid, "Pss_Anon") for one in family)
    shared = sum(_rollup(one.pid, "Pss_Shmem") for one in family)
    largest = max(one.memory_info().shared for one in family)
    resident = sum(one.memory_info().rss for one in family)
    # Pages that others touched and the one who touched most did not are missing: a lower bound, as the series says.
    assert private * 0.8 < measured <= (private + shared) * 1.05
    assert measured <= (private + largest) * 1.2
    assert measured < resident / 2, "a sum of resident sizes counts the shared memory over and over"


async def test_the_allotment_is_the_endpoints(probe_set: ProbeSet, postgres: Endpoint) -> None:
    samples = await probe(probe_set, "usage").sample(1.0)
    assert total(samples, "flashcrowd_cpu_allotment_cores", name="postgres") == postgres.cpus


def _rollup(pid: int, field: str) -> int:
    """A process's share of its pages of one kind, bytes: a page of n processes counts 1/n in each."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return int(dict(line.split(":", 1) for line in lines)[field].split()[0]) * 1024
