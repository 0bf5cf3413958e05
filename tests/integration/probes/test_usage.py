"""CPU, memory, throttling and OOM kills of containers, against what the engine and the kernel say of them elsewhere."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from harness.model import Sample
from harness.probes.core_times import CoreTimes
from harness.probes.probe import Unmeasured
from harness.probes.usage import UsageProbe
from harness.stack import cores
from harness.stack.stack import Footprint
from tests.integration.probes.conftest import total, until
from tests.integration.probes.neighbour import cpu_s, neighbour, worked_s

pytestmark = pytest.mark.docker

CPU = "container_cpu_usage_seconds_total"
MEMORY = "container_memory_working_set_bytes"
LABEL = "flashcrowd-test-usage"
MIB = 1024**2
PERIOD_S = 0.1  # in which a quota is counted
BURN = "while :; do :; done"
#: Of a shell without other programs: a string of so many MiB, doubled from one of 1 KiB.
HOLD = "x=$(printf %1024s x); i=0; while [ $i -lt {doublings} ]; do x=$x$x; i=$((i+1)); done; echo held; read y"


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    """The engine on this machine, as seen by a process that shares its processes."""
    client = docker.from_env(timeout=60)
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> Iterator[str]:
    """A shell and the libraries that it needs, which takes no registry."""
    shell = Path(shutil.which("dash") or shutil.which("sh") or "/bin/sh").resolve()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(shell, "bin/sh")
        for name in _libraries(shell):
            tar.add(os.path.realpath(name), name.lstrip("/"))
    name = f"{LABEL}:{os.getpid()}"
    engine.api.import_image_from_data(packed.getvalue(), repository=LABEL, tag=str(os.getpid()))
    yield name
    engine.images.remove(name, force=True)


def _libraries(program: Path) -> list[str]:
    words = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout.split()
    return [word for word in words if word.startswith("/")]


@pytest.fixture
def run(engine: docker.DockerClient, image: str) -> Iterator[Callable[..., Container]]:
    """Starts a container with a shell script; all are gone afterwards."""
    with ExitStack() as closing:

        def start(script: str, **limits: Any) -> Container:
            container = engine.containers.run(
                image,
                ["/bin/sh", "-c", script],
                detach=True,
                stdin_open=True,
                labels=[LABEL],
                network_mode="none",
                **limits,
            )
            closing.callback(container.remove, force=True, v=True)
            return container

        yield start


def _footprint(container: Container, cpus: float | None = None) -> Footprint | None:
    container.reload()
    state = container.attrs["State"]
    return Footprint(pid=state["Pid"], confined=True, cpus=cpus) if state["Running"] else None


def _probe(core_times: CoreTimes | None = None, **containers: Container) -> UsageProbe:
    asked = {name: lambda one=one: _footprint(one) for name, one in containers.items()}
    return UsageProbe(lambda: asked, cores=core_times)  # type: ignore[return-value]


async def test_what_a_container_burns_and_is_held_back_from(run: Callable[..., Container]) -> None:
    busy = run(BURN, nano_cpus=250_000_000)
    probe = _probe(postgres=busy)
    began_s = time.monotonic()
    before = await probe.sample(0.0)

    async def throttled_for_a_while() -> bool:
        now, metric = await probe.sample(1.0), "container_cpu_cfs_throttled_periods_total"
        return total(now, metric) - total(before, metric) >= 12

    await until(throttled_for_a_while)
    after, took_s = await probe.sample(2.0), time.monotonic() - began_s
    stats = busy.stats(stream=False)
    later = await probe.sample(3.0)

    burnt = total(after, CPU) - total(before, CPU)
    assert burnt <= 0.25 * took_s * 1.1 + 0.05, "more than its quota"
    gained = {
        name: total(after, f"container_cpu_cfs_{name}_total") - total(before, f"container_cpu_cfs_{name}_total")
        for name in ("periods", "throttled_periods", "throttled_seconds")
    }
    # A machine that is busy itself may leave it less than its quota, but not in a period in which it was held back.
    assert 12 <= gained["throttled_periods"] <= gained["periods"] <= took_s / PERIOD_S + 2
    assert burnt >= 0.25 * PERIOD_S * gained["throttled_periods"] * 0.8, "it wanted all of a core"
    assert 0 < gained["throttled_seconds"] <= took_s
    assert total(after, "flashcrowd_cpu_allotment_cores", name="postgres") == 0.25
    # The engine's own figures lie between the readings before and after it was asked.
    assert total(after, CPU) <= stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9 <= total(later, CPU)
    periods = stats["cpu_stats"]["throttling_data"]
    assert total(after, "container_cpu_cfs_throttled_periods_total") <= periods["throttled_periods"]
    assert periods["throttled_periods"] <= total(later, "container_cpu_cfs_throttled_periods_total")


async def test_a_quota_that_is_changed_while_it_runs(run: Callable[..., Container]) -> None:
    idle = run("read x", cpu_period=100_000, cpu_quota=50_000)
    probe = _probe(postgres=idle)
    assert total(await probe.sample(0.0), "flashcrowd_cpu_allotment_cores") == 0.5
    idle.update(cpu_quota=20_000)
    assert total(await probe.sample(1.0), "flashcrowd_cpu_allotment_cores") == 0.2


async def test_memory_is_what_the_engine_says_without_inactive_files(run: Callable[..., Container]) -> None:
    holder = run(HOLD.format(doublings=15), mem_limit=256 * MIB)  # 32 MiB
    await until(_said(holder, b"held"))
    probe = _probe(**{"mongo-1": holder})
    measured = await probe.sample(0.0)
    stats = holder.stats(stream=False)["memory_stats"]
    inactive = stats["stats"].get("total_inactive_file", stats["stats"].get("inactive_file"))
    assert total(measured, MEMORY, name="mongo-1") == pytest.approx(stats["usage"] - inactive, abs=2 * MIB)
    assert total(measured, MEMORY) > 32 * MIB
    assert total(measured, "container_spec_memory_limit_bytes") == 256 * MIB


async def test_a_process_killed_for_want_of_memory(run: Callable[..., Container]) -> None:
    """A child, as a backend of PostgreSQL is: the container goes on."""
    hungry = run(
        f"read go; ({HOLD.format(doublings=20)}); echo ended $?; read y", mem_limit=32 * MIB, memswap_limit=32 * MIB
    )
    probe = _probe(postgres=hungry)
    assert total(await probe.sample(0.0), "container_oom_events_total") == 0
    _tell(hungry, b"\n")
    await until(_said(hungry, b"ended 137"))
    assert total(await probe.sample(1.0), "container_oom_events_total") == 1
    hungry.reload()
    assert hungry.attrs["State"]["Running"]


async def test_a_container_that_starts_again_is_found_again(run: Callable[..., Container]) -> None:
    one, other = run("read x"), run("read x")
    probe = _probe(**{"postgres": one, "postgres-replica-1": other})
    assert _names(await probe.sample(0.0)) == {"postgres", "postgres-replica-1"}
    other.kill()
    other.wait()
    assert _names(await probe.sample(1.0)) == {"postgres"}
    other.start()
    assert _names(await probe.sample(2.0)) == {"postgres", "postgres-replica-1"}
    for container in (one, other):
        container.kill()
        container.wait()
    with pytest.raises(Unmeasured):
        # Both were measured a moment ago; that nothing of them can be found now is a gap.
        await UsageProbe(lambda: {"postgres": lambda: Footprint(pid=_gone(), confined=True, cpus=1)}).sample(3.0)


@pytest.mark.skipif(len(cores.own_cores() or ()) < 2, reason="needs two cores that can be held to")
async def test_what_others_use_of_a_containers_core(run: Callable[..., Container]) -> None:
    core = (cores.own_cores() or ())[-1]
    held = run(BURN, cpuset_cpus=str(core))
    anywhere = run("read x", nano_cpus=500_000_000)
    probe = _probe(CoreTimes(None), postgres=held, **{"mongo-1": anywhere})
    others = "flashcrowd_core_others_seconds_total"
    with neighbour(core, seconds=1.2) as other:
        begun_s, core_s, before = cpu_s(other), worked_s([core]), await probe.sample(0.0)

        async def both_worked() -> bool:
            return cpu_s(other) - begun_s >= 1.0

        await until(both_worked)
        neighbours_s, after = cpu_s(other) - begun_s, await probe.sample(1.0)
        core_s = worked_s([core]) - core_s
    assert {one.labels["name"] for one in after if one.metric == others} == {"postgres"}, (
        "with a quota only a container has no core of its own"
    )
    gained = total(after, others, name="postgres", cores=str(core)) - total(before, others)
    burnt = total(after, CPU, name="postgres") - total(before, CPU, name="postgres")
    assert neighbours_s - 0.15 <= gained
    assert gained == pytest.approx(core_s - burnt, abs=0.15 + 0.03 * core_s), "whoever else there was"


def _gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def _names(samples: list[Sample]) -> set[str]:
    return {sample.labels["name"] for sample in samples}


def _said(container: Container, text: bytes) -> Any:
    async def said() -> bool:
        return text in container.logs()

    return said


def _tell(container: Container, line: bytes) -> None:
    socket = container.attach_socket(params={"stdin": 1, "stream": 1})
    socket._sock.sendall(line)
    socket._sock.close()
    socket.close()
