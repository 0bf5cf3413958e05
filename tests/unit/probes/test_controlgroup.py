"""Control groups of both versions, from files as kernels write them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.probes.controlgroup import ControlGroup, Counted
from harness.probes.probe import Unmeasured

ID = "4f1d2c"
V1_CGROUP = f"""9:name=systemd:/docker/{ID}
8:pids:/docker/{ID}
4:memory:/docker/{ID}
2:cpu,cpuacct:/docker/{ID}
0::/system.slice/containerd.service
"""
V1_MOUNTS = """31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:10 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1_FILES = {
    "cpu,cpuacct": {
        "cpuacct.usage": "12345678901\n",
        "cpu.stat": "nr_periods 120\nnr_throttled 30\nthrottled_time 2500000000\n",
        "cpu.cfs_quota_us": "50000\n",
        "cpu.cfs_period_us": "100000\n",
    },
    "memory": {
        "memory.usage_in_bytes": "104857600\n",
        "memory.stat": "cache 50000000\ninactive_file 1\ntotal_inactive_file 4857600\n",
        "memory.limit_in_bytes": "268435456\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    },
}
V2_CGROUP = f"0::/system.slice/docker-{ID}.scope\n"
V2_MOUNTS = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
V2_FILES = {
    "cpu.stat": "usage_usec 12345678\nuser_usec 9\nsystem_usec 3\nnr_periods 120\nnr_throttled 30\nthrottled_usec 2500000\n"
    "nr_bursts 0\nburst_usec 0\n",
    "cpu.max": "50000 100000\n",
    "memory.current": "104857600\n",
    "memory.stat": "anon 90000000\nfile 9000000\ninactive_file 4857600\n",
    "memory.max": "268435456\n",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n",
}
EXPECTED = Counted(
    cpu_s=12.345678901,
    memory_bytes=100e6,
    limit_bytes=268435456.0,
    quota_cores=0.5,
    periods=120.0,
    throttled_periods=30.0,
    throttled_s=2.5,
    oom_kills=2.0,
)


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def _system(root: Path, cgroup: str, mounts: str) -> Path:
    _write(root / "proc/self", {"mountinfo": mounts})
    _write(root / "proc/77", {"cgroup": cgroup})
    return root


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A system of version 1, as this engine's: the tree of version 2 is mounted too and empty."""
    for controller, files in V1_FILES.items():
        _write(tmp_path / f"sys/fs/cgroup/{controller}/docker/{ID}", files)
    _write(tmp_path / "sys/fs/cgroup/unified/system.slice/containerd.service", {})
    return _system(tmp_path, V1_CGROUP, V1_MOUNTS)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A system of version 2 under systemd."""
    _write(tmp_path / f"sys/fs/cgroup/system.slice/docker-{ID}.scope", V2_FILES)
    return _system(tmp_path, V2_CGROUP, V2_MOUNTS)


def _set(root: Path, name: str, text: str) -> None:
    [path] = root.glob(f"sys/**/{name}")
    path.write_text(text)


def test_version_1(first: Path) -> None:
    assert ControlGroup.of(77, first).read() == EXPECTED


def test_version_2(second: Path) -> None:
    found = ControlGroup.of(77, second).read()
    assert found == Counted(
        **{name: getattr(EXPECTED, name) for name in Counted.__slots__ if name != "cpu_s"}, cpu_s=12.345678
    )


def test_no_limits_in_version_1(first: Path) -> None:
    _set(first, "cpu.cfs_quota_us", "-1\n")
    _set(first, "memory.limit_in_bytes", "9223372036854771712\n")
    found = ControlGroup.of(77, first).read()
    assert (found.quota_cores, found.limit_bytes) == (None, None)


def test_no_limits_in_version_2(second: Path) -> None:
    _set(second, "cpu.max", "max 100000\n")
    _set(second, "memory.max", "max\n")
    found = ControlGroup.of(77, second).read()
    assert (found.quota_cores, found.limit_bytes) == (None, None)


def test_what_a_kernel_does_not_say_is_not_measured(second: Path) -> None:
    """Without the memory controller, and in a group without a quota on some kernels."""
    for name in ("memory.current", "memory.stat", "memory.max", "memory.events", "cpu.max"):
        [path] = second.glob(f"sys/**/{name}")
        path.unlink()
    _set(second, "cpu.stat", "usage_usec 12345678\nuser_usec 9\nsystem_usec 3\n")
    found = ControlGroup.of(77, second).read()
    assert found.cpu_s == 12.345678
    assert [getattr(found, name) for name in Counted.__slots__ if name != "cpu_s"] == [None] * 7


def test_a_mount_of_a_part_of_the_tree(tmp_path: Path) -> None:
    """Inside a container whose own group is mounted as the root."""
    _write(tmp_path / "sys/fs/cgroup/inner", V2_FILES)
    _system(tmp_path, "0::/docker/outer/inner\n", V2_MOUNTS.replace(" / /sys", " /docker/outer /sys"))
    assert ControlGroup.of(77, tmp_path).read().oom_kills == 2.0


def test_a_group_that_went_away(first: Path) -> None:
    group = ControlGroup.of(77, first)
    shutil.rmtree(first / "sys")
    with pytest.raises(Unmeasured, match="ended"):
        group.read()


def test_a_process_that_has_ended(first: Path) -> None:
    with pytest.raises(Unmeasured, match="ended"):
        ControlGroup.of(78, first)


def test_no_tree_to_be_seen(first: Path) -> None:
    (first / "proc/self/mountinfo").write_text("23 1 0:20 / / rw - ext4 /dev/sda rw\n")
    with pytest.raises(Unmeasured, match="cannot be seen"):
        ControlGroup.of(77, first)


def test_a_group_outside_of_what_a_container_sees(tmp_path: Path) -> None:
    _write(tmp_path / "sys/fs/cgroup", V2_FILES)
    _system(tmp_path, "0::/../../system.slice/docker-other.scope\n", V2_MOUNTS)
    with pytest.raises(Unmeasured, match="cannot be seen"):
        ControlGroup.of(77, tmp_path)
