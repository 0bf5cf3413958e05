"""CPU of a tree of processes, with those that ended; on any machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from harness.probes.probe import Unmeasured
from harness.probes.process import LinuxTree, PortableTree, Tree, tree_of

# On a line it burns about 0.2 s of CPU in a child that then ends, and answers with what the kernel says the child used.
_PARENT = """
import os, resource, sys
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        import time
        while time.process_time() < 0.2:
            pass
        os._exit(0)
    _, _, used = os.wait4(child, 0)
    print(used.ru_utime + used.ru_stime, flush=True)
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="no /proc with schedstat here")


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        _pipe(process.stdin).close()
        process.wait(10)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _burn(process: subprocess.Popen[str]) -> float:
    """Let a child burn and end; returns its CPU seconds."""
    stdin = _pipe(process.stdin)
    stdin.write("\n")
    stdin.flush()
    return float(_pipe(process.stdout).readline())


@pytest.mark.parametrize("kind", [pytest.param(LinuxTree, marks=needs_proc), PortableTree])
def test_what_an_ended_child_used_is_kept(kind: type[Tree], parent: subprocess.Popen[str]) -> None:
    tree: Tree = kind(parent.pid)  # type: ignore[call-arg]
    _burn(parent)
    before = tree.cpu_s()
    used = sum(_burn(parent) for _ in range(3))
    grown = tree.cpu_s() - before
    assert grown == pytest.approx(used, rel=0.05, abs=0.03)


@needs_proc
def test_the_time_of_the_living_is_finer_than_a_clock_tick() -> None:
    tree = LinuxTree(os.getpid())
    readings = set()
    began = time.process_time()
    while time.process_time() - began < 0.05:
        readings.add(tree.cpu_s())
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    assert len(readings) > 2 * 0.05 / tick_s


@needs_proc
def test_shared_memory_is_counted_once() -> None:
    shared = 32 * 1024 * 1024
    code = f"""
import mmap, os, sys
memory = mmap.mmap(-1, {shared})
memory.write(b"x" * {shared})
for _ in range(3):
    if os.fork() == 0:
        memory.seek(0)
        sum(memory[i] for i in range(0, {shared}, 4096))
        sys.stdin.read()
        os._exit(0)
print(flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        _pipe(process.stdout).readline()
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        _await(lambda: all(_shared_rss(one.pid) >= shared for one in family))
        measured = LinuxTree(process.pid).memory_bytes()
        pss = sum(one.memory_full_info().pss for one in family)
        _pipe(process.stdin).close()
        process.wait(10)
    assert shared < measured < 2 * shared
    # Mapped files are not in it: the interpreter and its libraries.
    assert measured == pytest.approx(pss, rel=0.2)


def test_a_server_that_is_gone_is_not_measured() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait(10)
    for tree in (LinuxTree(process.pid), PortableTree(process.pid)):
        with pytest.raises(Unmeasured, match="ended"):
            tree.cpu_s()


@needs_proc
def test_a_server_that_nobody_has_waited_for_is_gone_too() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(Unmeasured, match="ended"):
            LinuxTree(process.pid).cpu_s()


@needs_proc
def test_the_time_of_threads_that_ended_is_kept() -> None:
    code = """
import sys, threading, time
def burn():
    while time.thread_time() < 0.2:
        pass
for line in sys.stdin:
    one = threading.Thread(target=burn)
    one.start()
    one.join()
    print(time.process_time(), flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        own = _burn(process)
        measured = LinuxTree(process.pid).cpu_s()
        _pipe(process.stdin).close()
        process.wait(10)
    assert own > 0.2
    assert measured == pytest.approx(own, abs=0.02)


def _shared_rss(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().shared)


def _await(condition: object) -> None:
    assert callable(condition)
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


@needs_proc
def test_a_service_may_have_childrens_children(parent: subprocess.Popen[str]) -> None:
    """What a living child has waited for counts, too: only the main process's parent would know it otherwise."""
    begins = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_PARENT!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", begins], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as above:
        try:
            used_s = _burn(above)
            deep, shallow = tree_of(above.pid, deep=True), tree_of(above.pid)
            before_s, shallow_s = deep.cpu_s(), shallow.cpu_s()
            used_s = _burn(above)
            assert deep.cpu_s() - before_s >= used_s - 0.02
            assert shallow.cpu_s() - shallow_s < used_s / 2
            assert (deep.memory_bytes() or 0) > 1_000_000
        finally:
            _pipe(above.stdin).close()
            above.wait(10)
