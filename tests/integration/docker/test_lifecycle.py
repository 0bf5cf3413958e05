"""Up and down in containers: what a run leaves on each way to its end, which is nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import psutil
import psycopg
import pytest

from harness.errors import Exit, StackError
from harness.model import Dataset, PostgresServer, Topology
from harness.stack.docker import disks, labels, sweep
from harness.stack.docker.images import Image
from harness.stack.docker.stack import DockerStack
from tests.integration.command import ROOT, Place, until
from tests.integration.conftest import SCALE, SEED
from tests.integration.docker.conftest import Run

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("named")]


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the stacks of one test, so that what is in it in the end was left by them."""
    with tempfile.TemporaryDirectory(prefix="fc-") as name:
        Path(name).chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


def up(dataset: Dataset, said: Callable[[str], None] = lambda line: None, **asked: Any) -> Any:
    return DockerStack.up(Topology(postgres=PostgresServer(**asked)), dataset, scale=SCALE, seed=SEED, say=said)


def of_process(client: docker.DockerClient, pid: int) -> list[str]:
    """Containers, networks and volumes of containers that a process started and that are there."""
    filters = {"label": labels.OWNER}
    things = [*client.api.containers(all=True, filters=filters), *client.api.networks(filters=filters)]
    return [str(thing.get("Names") or thing.get("Name")) for thing in things if is_of(thing["Labels"], pid)]


def is_of(found: dict[str, str], pid: int) -> bool:
    owner = labels.owner(found)
    return owner is not None and owner.pid == pid


def of_stack(client: docker.DockerClient, name: str) -> list[str]:
    filters = {"label": f"{labels.STACK}={name}"}
    things = [*client.api.containers(all=True, filters=filters), *client.api.networks(filters=filters)]
    return [str(thing.get("Names") or thing.get("Name")) for thing in things]


def running(client: docker.DockerClient, stack: str) -> list[str]:
    """Names of the stack's containers that run."""
    return [one["Names"][0] for one in client.api.containers(filters={"label": f"{labels.STACK}={stack}"})]


def folders(own_folder: Path) -> list[Path]:
    return [path for path in own_folder.glob("flashcrowd-*/*") if path.is_dir()]


def stack_of(client: docker.DockerClient, address: str) -> str:
    """The stack that has a server at that address."""
    for container in client.api.containers(filters={"label": labels.OWNER}):
        networks = container["NetworkSettings"]["Networks"].values()
        if address in [network["IPAddress"] for network in networks]:
            return str(container["Labels"][labels.STACK])
    raise AssertionError(f"no container is at {address}")


@pytest.mark.parametrize(
    ("error", "kept"),
    [(None, disks.ENGINE), (None, disks.TMPDIR), (ValueError, disks.ENGINE), (KeyboardInterrupt, disks.TMPDIR)],
)
def test_nothing_is_left(
    error: type[BaseException] | None,
    kept: str,
    client: docker.DockerClient,
    dataset: Dataset,
    own_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kept == disks.TMPDIR and os.geteuid() != 0:
        pytest.skip("only root may have containers keep their data there")
    monkeypatch.setenv(disks.VARIABLE, kept)
    volumes = {one["Name"] for one in client.api.volumes()["Volumes"] or []}
    children = psutil.Process().children()
    caught = None
    try:
        with up(dataset) as stack:
            name = stack_of(client, stack.postgres.host)
            assert len(of_stack(client, name)) == 2  # a container and a network
            assert len(folders(own_folder)) == 1
            assert len(psutil.Process().children()) == len(children) + 1  # the guard
            mine = {
                m["Name"] for m in client.containers.get(f"{name}-postgres").attrs["Mounts"] if m["Type"] == "volume"
            }
            assert mine - volumes
            assert stack.describe()["disks"] == kept
            clusters = [path.parent for path in own_folder.rglob("PG_VERSION") if path.parent.name == "data"]
            assert len(clusters) == (kept == disks.TMPDIR)
            if error is not None:
                raise error
    except BaseException as raised:
        caught = type(raised)
    assert caught is error
    assert of_stack(client, name) == []
    assert folders(own_folder) == []
    assert psutil.Process().children() == children
    assert not mine & {one["Name"] for one in client.api.volumes()["Volumes"] or []}


def test_nothing_is_left_of_a_replica_in_the_making(
    client: docker.DockerClient, dataset: Dataset, own_folder: Path
) -> None:
    """Its base backup begins with a checkpoint of the primary, which is frozen: it would last for ever."""
    errors: list[BaseException] = []

    def add(stack: DockerStack) -> None:
        try:
            stack.add_replica()
        except BaseException as error:
            errors.append(error)

    with up(dataset) as stack:
        name = stack_of(client, stack.postgres.host)
        stack.servers["postgres"].pause()
        thread = threading.Thread(target=add, args=[stack])
        thread.start()
        until(lambda: len(running(client, name)) == 2, "the container that takes its base backup")
    thread.join(30)
    assert [type(error) for error in errors] == [StackError]
    assert of_stack(client, name) == []
    assert folders(own_folder) == []


def test_two_stacks_beside_each_other_do_not_meet(
    client: docker.DockerClient, dataset: Dataset, own_folder: Path
) -> None:
    with up(dataset) as one, up(dataset) as other:
        assert one.describe()["network"] != other.describe()["network"]
        with psycopg.connect(one.postgres.dsn(), autocommit=True) as connection:
            connection.execute("DELETE FROM items")
        with psycopg.connect(other.postgres.dsn()) as connection:
            row = connection.execute("SELECT count(*) FROM items").fetchone()
        assert row is not None
        assert row[0] > 0
        assert dict(one.postgres.passwords).keys() == dict(other.postgres.passwords).keys()
        assert not set(dict(one.postgres.passwords).values()) & set(dict(other.postgres.passwords).values())
        # Neither the one's password nor its network gets anybody into the other.
        stranger = f"host={other.postgres.host} user=postgres dbname=postgres password={one.postgres.passwords[0][1]}"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(stranger)
    assert folders(own_folder) == []


def begun(place: Place) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.docker.runner"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **place.environment},
    )


@pytest.mark.parametrize("when", ["up", "starting"])
def test_what_a_killed_run_had_is_gone_soon(when: str, client: docker.DockerClient, place: Place) -> None:
    process = begun(place)
    try:
        assert process.stdout is not None
        if when == "up":
            where = next(value for line in process.stdout if "dsn" in (value := json.loads(line)))
            assert psutil.pid_exists(where["postmaster"])
        else:
            until(lambda: len(of_process(client, process.pid)) > 1, "a container of it")
        process.kill()
        process.wait()
        until(lambda: of_process(client, process.pid) == [], "its containers and networks to go", limit_s=10)
        until(lambda: place.instances() == [], "its folder to go", limit_s=10)
        until(lambda: place.processes() == [], "its guard to go", limit_s=10)
        assert of_process(client, process.pid) == []
    finally:
        process.kill()
        process.communicate()


def test_an_interruption_while_the_stack_comes_up_leaves_nothing(client: docker.DockerClient, place: Place) -> None:
    cache = str(place.folder / "cache")
    command = place.begin_run("small-burst", "--stack", "docker", FLASHCROWD_CACHE=cache)
    command.await_text("seeding fixtures.collectibles")
    until(lambda: len(of_process(client, command.pid)) > 1, "a container")
    command.signal(signal.SIGINT)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert "flashcrowd: interrupted before the" in command.printed
    assert "Traceback" not in command.printed
    assert of_process(client, command.pid) == []
    assert place.left() == []


def test_a_sweep_removes_what_dead_runs_left_and_no_more(
    client: docker.DockerClient, offline: dict[str, Image], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "circle", lambda: "the processes of this test")  # others sweep at the same time
    gone = subprocess.Popen([sys.executable, "-c", ""])
    started_s = psutil.Process(gone.pid).create_time()
    gone.wait()
    image = offline["postgres"].reference
    dead = {labels.OWNER: f"{gone.pid}@{started_s}", labels.CIRCLE: labels.circle()}
    elsewhere = {**dead, labels.CIRCLE: "another machine"}
    left, theirs = run(image, labels=dead), run(image, labels=elsewhere)
    alive = run(image, labels=labels.Labels(stack="test").all())
    network = client.networks.create("test-left", labels=dead, internal=True)
    said = sweep.sweep()
    there = {container.id for container in client.containers.list(all=True, ignore_removed=True)}
    assert left.id not in there
    assert {theirs.id, alive.id} <= there
    assert network.id not in [one.id for one in client.networks.list()]
    assert f"removed container {left.name}, left by a killed run" in said
    assert "removed network test-left, left by a killed run" in said
