"""Services as child processes and in containers: the same tests for both."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import psutil
import psycopg
import pytest

from harness.errors import StackError
from harness.model import Dataset, PostgresServer, Topology
from harness.probes.probe_set import footprints
from harness.probes.services import ServiceProbe
from harness.probes.usage import UsageProbe
from harness.stack import choose
from harness.stack.choose import Provider
from harness.stack.connect import addresses
from harness.stack.embedded import sweep
from harness.stack.services.service import StackEvent
from harness.stack.stack import Role, Stack
from tests.integration.command import ROOT, Place, until
from tests.integration.conftest import SCALE, SEED
from tests.integration.services.topology import DATASET, MEMORY_BYTES, WEB, WORKER, alone

PROVIDERS = [
    pytest.param("embedded", marks=pytest.mark.server),
    pytest.param("docker", marks=pytest.mark.docker),
]


@pytest.fixture(scope="module", params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> Provider:
    """Which provider."""
    if request.param == "docker":
        request.getfixturevalue("named")
    return Provider(request.param)


@pytest.fixture(scope="module")
def stack(provider: Provider, dataset: Dataset, _own_cache: None) -> Iterator[Stack]:
    """A PostgreSQL with services before it; a test leaves them up, but not as fresh as it found them."""
    topology = Topology(postgres=PostgresServer(), services=(WEB, WORKER))
    with choose.up(provider, topology, dataset, scale=SCALE, seed=SEED, say=lambda line: None) as running:
        yield running


def ask(stack: Stack, path: str, *, limit_s: float = 90) -> Any:
    (web,) = stack.services["web"]
    with urllib.request.urlopen(f"{web.url}{path}", timeout=limit_s) as answer:
        return json.load(answer)


def answers(stack: Stack, *, limit_s: float = 90) -> bool:
    try:
        return bool(ask(stack, "/healthz", limit_s=limit_s))
    except (URLError, OSError):
        return False


def crash(stack: Stack, path: str) -> list[StackEvent]:
    """Ask for something that the service does not survive; what the stack wrote down of it."""
    known = len(stack.events)
    with pytest.raises((URLError, OSError)):
        ask(stack, path)
    return await_restart(stack, known)


def await_restart(stack: Stack, known: int) -> list[StackEvent]:
    until(lambda: len(stack.events) >= known + 2, "the supervisor starts it again")
    until(lambda: answers(stack), "it answers again")
    return list(stack.events)[known:]


def sampled(stack: Stack, metric: str, **labels: str) -> float | None:
    """The value of a metric as the probes have it now."""

    async def both() -> list[Any]:
        usage, services = UsageProbe(lambda: footprints(stack)), ServiceProbe(stack)
        return [*await usage.sample(0.0), *await services.sample(0.0)]

    found = [
        sample.value
        for sample in asyncio.run(both())
        if sample.metric == metric and labels.items() <= dict(sample.labels).items()
    ]
    return sum(found) if found else None


def with_token(token: str) -> list[int]:
    """Processes of this machine, in containers or not, that have it among their arguments."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(token in word for word in words) and "tests.integration.services.runner" not in words:
            found.append(process.pid)
    return found


def test_it_stands_between_the_crowd_and_the_database(stack: Stack) -> None:
    assert stack.postgres is not None
    with psycopg.connect(stack.postgres.dsn()) as connection:
        row = connection.execute("SELECT count(*) FROM items").fetchone()
    assert row is not None
    assert ask(stack, "/count") == row[0] > 0
    (web,) = stack.services["web"]
    assert addresses(stack)["FLASHCROWD_SERVICE_WEB"] == web.url
    assert [stack.servers[name].role for name in ("web-1", "worker-1")] == [Role.SERVICE] * 2
    told = ask(stack, "/me")["environment"]
    assert told["FLASHCROWD_DSN"] == addresses(stack)["FLASHCROWD_DSN"]
    assert told["FLASHCROWD_SERVICE_WEB"] == web.url
    assert told["FLASHCROWD_INSTANCE"] == "web-1"
    assert "LOCUST_SKIP_MONKEY_PATCH" not in told  # nothing of ours that was not meant for it
    described = json.dumps(stack.describe())
    assert [one["name"] for one in json.loads(described)["services"]] == ["web", "worker"]
    passwords = [password for _, password in stack.postgres.passwords]
    assert not [password for password in passwords if password in described]


def test_a_service_that_does_not_listen_has_no_address(stack: Stack) -> None:
    (worker,) = stack.services["worker"]
    assert worker.url is None
    assert "FLASHCROWD_SERVICE_WORKER" not in addresses(stack)
    found = stack.servers["worker-1"].footprint()
    assert found is not None
    process = psutil.Process(found.pid)
    (environment,) = {one.environ().get("TASK") for one in [process, *process.children()] if one.name() == "sleep"}
    assert environment == "sleep"


def test_its_cpu_is_that_of_all_its_processes(stack: Stack) -> None:
    before, own_before = sampled(stack, "container_cpu_usage_seconds_total", name="web-1"), ask(stack, "/me")["cpu_s"]
    ask(stack, "/burn?s=0.4")  # in a child's child
    after, own_after = sampled(stack, "container_cpu_usage_seconds_total", name="web-1"), ask(stack, "/me")["cpu_s"]
    assert before is not None
    assert after is not None
    assert own_after - own_before > 0.4
    assert after - before == pytest.approx(own_after - own_before, abs=0.15)
    assert sampled(stack, "flashcrowd_cpu_allotment_cores", name="web-1", service="web") == 1
    assert sampled(stack, "container_spec_memory_limit_bytes", name="web-1", service="web") == MEMORY_BYTES
    used = sampled(stack, "container_memory_working_set_bytes", name="web-1", service="web")
    assert used is not None
    assert 4 * 1024**2 < used < MEMORY_BYTES


def test_one_that_is_killed_is_started_again_and_counted(stack: Stack) -> None:
    server, known = stack.servers["web-1"], len(stack.events)
    count = sampled(stack, "flashcrowd_service_restarts_total", name="web-1", reason="exit")
    assert count is not None
    before = server.footprint()
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    crashed, restarted = await_restart(stack, known)
    assert (crashed.state, crashed.server, crashed.reason) == ("crashed", "web-1", "exit")
    assert "killed by" in crashed.text
    assert restarted.state == "restarted"
    assert restarted.at_ns - crashed.at_ns >= 0.1e9
    assert sampled(stack, "flashcrowd_service_restarts_total", name="web-1", reason="exit") == count + 1
    assert sampled(stack, "flashcrowd_service_down", name="web-1") == 0
    assert sampled(stack, "container_cpu_usage_seconds_total", name="web-1") is not None
    after = server.footprint()
    assert after is not None
    assert after.pid != before.pid
    assert stack.check_alive() is None


def test_one_that_uses_more_memory_than_it_may_is_killed_for_it(stack: Stack) -> None:
    count = sampled(stack, "flashcrowd_service_restarts_total", name="web-1", reason="memory")
    assert count is not None
    crashed, _ = crash(stack, "/eat?mb=400")
    assert crashed.reason == "memory"
    assert "for want of memory" in crashed.text
    assert "96 MB" in crashed.text
    assert sampled(stack, "flashcrowd_service_restarts_total", name="web-1", reason="memory") == count + 1


def test_the_end_of_one_that_is_not_started_again_is_told_and_a_reset_begins_from_fresh_processes(
    stack: Stack, tmp_path: Path
) -> None:
    token = secrets.token_hex(8)
    found = stack.servers["worker-1"].footprint()
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    until(lambda: stack.check_alive() is not None, "its end is seen")
    died = stack.check_alive()
    assert died is not None
    assert "worker-1" in died
    assert "was killed by" in died
    stack.reset("before")
    assert stack.check_alive() is None
    assert stack.servers["worker-1"].footprint() is not None
    first = ask(stack, "/me")
    assert (first["asked"], first["found"]) == (1, [])
    assert first["environment"]["FLASHCROWD_VARIANT"] == "before"
    second = ask(stack, "/me")
    assert (second["asked"], second["found"]) == (2, ["written"])
    ask(stack, f"/child?token={token}")
    assert with_token(token)
    crash(stack, "/exit?code=3")
    until(lambda: with_token(token) == [], "what it had started has ended with it")
    stack.servers["web-1"].kill()
    stack.reset("after")
    fresh = ask(stack, "/me")
    assert (fresh["asked"], fresh["found"]) == (1, [])
    assert fresh["environment"]["FLASHCROWD_VARIANT"] == "after"
    assert list(stack.events) == []
    assert sampled(stack, "flashcrowd_service_restarts_total", name="web-1") == 0
    stack.save_logs(tmp_path / "logs")
    said = (tmp_path / "logs" / "web-1.log").read_text().splitlines()
    assert said[0] == "listening"
    assert said.count("asked for /me") == 1, "nothing of the time before the reset"


def test_the_timeline_acts_upon_it_and_its_supervisor_keeps_out_of_that(stack: Stack, provider: Provider) -> None:
    server, known = stack.servers["web-1"], len(stack.events)
    server.pause()
    with pytest.raises(OSError, match="timed out"):
        ask(stack, "/me", limit_s=0.3)
    server.resume()
    assert answers(stack)
    for end in (server.stop, server.kill):
        end()
        assert server.down_on_purpose
        assert server.footprint() is None
        assert not answers(stack, limit_s=0.3)
        assert sampled(stack, "flashcrowd_service_down", name="web-1") == 1
        assert stack.check_alive() is None
        server.start()
        assert answers(stack)
        assert not server.down_on_purpose
    assert len(stack.events) == known
    assert (server.why_not("cut_off") is None) == (provider is Provider.DOCKER)
    if provider is Provider.DOCKER:
        server.cut_off()
        with pytest.raises((URLError, OSError)):
            ask(stack, "/me", limit_s=0.3)
        server.rejoin()
        assert answers(stack)
        server.set_cpus(0.5)
        assert sampled(stack, "flashcrowd_cpu_allotment_cores", name="web-1") == 0.5


def test_one_that_does_not_come_up_says_why_and_leaves_nothing(provider: Provider) -> None:
    token = secrets.token_hex(8)
    wrong = replace(WORKER, name="wrong", command=("python", "-c", f"import nowhere_{token}"), listens=True)
    topology = Topology(postgres=None, services=(*alone(token).services, wrong))
    with (
        pytest.raises(StackError, match=f"(?s)wrong-1 did not come up: .*No module named 'nowhere_{token}'"),
        choose.up(provider, topology, DATASET, scale=SCALE, seed=SEED, say=lambda line: None),
    ):
        pass
    assert with_token(token) == []


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
def test_nothing_is_left(provider: Provider, killed: bool) -> None:
    token, place = secrets.token_hex(8), Place.make()
    runner = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.services.runner", provider, token],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **place.environment, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        assert runner.stdout is not None
        urls, told = json.loads(runner.stdout.readline())
        assert len(set(urls)) == 2
        assert told == [" ".join(urls)] * 2, "instances know each other"
        assert len(with_token(token)) >= 4  # two instances, and what they started
        if killed:
            runner.kill()
        runner.communicate()
        if killed and provider is Provider.EMBEDDED:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("tempfile.tempdir", str(place.folder))
                said = sweep.sweep()
            assert any(line.startswith("stopped a service, process ") for line in said)
        until(lambda: with_token(token) == [], "its processes to go")
        until(lambda: place.instances() == [], "its folders to go")
    finally:
        runner.kill()
        runner.communicate()
        place.clear()
