"""A server's processes as one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from harness.stack import cores, family

can_hold = pytest.mark.skipif(
    len(cores.own_cores() or ()) < 2, reason="needs two cores, and a system that holds processes to cores"
)


@pytest.fixture
def main() -> Iterator[psutil.Process]:
    """A process with a child."""
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the child is there
        try:
            yield psutil.Process(process.pid)
        finally:
            family.kill(process.pid)


@can_hold
def test_all_are_held_to_the_cores(main: psutil.Process) -> None:
    core = max(os.sched_getaffinity(0))
    family.hold(main.pid, (core,))
    found = family.members(main.pid)
    assert len(found) == 2
    assert [os.sched_getaffinity(one.pid) for one in found] == [{core}, {core}]


@can_hold
def test_one_that_is_born_while_its_parent_is_moved_is_held_too(
    main: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = max(os.sched_getaffinity(0))
    (child,) = main.children()
    looks: list[set[int]] = []

    def members(pid: int) -> list[psutil.Process]:
        looks.append(os.sched_getaffinity(pid))
        return [main] if len(looks) == 1 else [main, child]

    with monkeypatch.context() as patch:
        patch.setattr(family, "members", members)
        family.hold(main.pid, (core,))
    assert looks[-1] == {core}, "it was looked once more after those that were found had been moved"
    assert os.sched_getaffinity(child.pid) == {core}


def test_all_are_paused_and_go_on_and_end(main: psutil.Process) -> None:
    found = family.members(main.pid)
    family.pause(main.pid)
    assert {one.status() for one in found} == {psutil.STATUS_STOPPED}
    family.resume(main.pid)
    assert psutil.STATUS_STOPPED not in {one.status() for one in found}
    family.kill(main.pid)
    assert not psutil.wait_procs([one for one in found if one != main], timeout=10)[1]


@pytest.fixture
def nested() -> Iterator[tuple[int, int]]:
    """A process, and one that a child of it began on a thread; both hold 30 MB that the first has filled before."""
    begin = (
        "import os, subprocess, sys, threading, time\n"
        "filled = bytearray(b'x') * 30_000_000\n"
        "if os.fork() == 0:\n"
        "    def begin():\n"
        "        child = subprocess.Popen(['sleep', '60'])\n"
        "        print(child.pid, flush=True)\n"
        "        time.sleep(60)\n"
        "    threading.Thread(target=begin).start()\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", begin], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            family.kill(process.pid)


def test_all_that_descend_are_found_whichever_thread_began_them(nested: tuple[int, int]) -> None:
    main, grandchild = nested
    found = family.descendants(main)
    assert len(found) == 2
    assert found[-1] == grandchild
    assert family.descendants(2**22 + 1) == []


def test_memory_that_a_child_inherited_counts_once_where_it_matters(nested: tuple[int, int]) -> None:
    main, _ = nested
    pids = [main, *family.descendants(main)]
    rough = family.memory_bytes(pids, enough=10**12)
    exact = family.memory_bytes(pids, enough=0)
    assert rough > 60_000_000
    assert 30_000_000 < exact < rough - 20_000_000


def test_none_belongs_to_a_process_that_is_gone() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert family.members(process.pid) == []
    family.resume(process.pid)
