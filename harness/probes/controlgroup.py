"""The control group of a process: what the kernel counts for a container as a whole, and the limits that it holds it to.

Both versions are read by the files that they have. In version 1 each controller is a tree of its own, in version 2 there is
one tree; where both are mounted, the processor's controller is in one of them, and that one tells. Reading all files of a
group takes some tens of microseconds, where asking the container engine takes a second or two.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.probes.probe import Unmeasured

GONE = "the server's main process has ended"
#: Version 1 writes the largest multiple of a page that fits where there is no limit; no machine has so much memory.
_NO_LIMIT = 1 << 60
_MOST_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What the kernel counted for a control group; None: this kernel or group does not say.

    :param memory_bytes: in use, without file pages that were not used lately, which the kernel takes back first
    :param limit_bytes: most memory it may use; None: no limit
    :param quota_cores: cores that it may use; None: no limit
    :param periods: periods of the quota in which it wanted to run
    :param throttled_periods: those in which it used its quota up and had to stop
    :param throttled_s: how long its processes were stopped for it, all cores
    :param oom_kills: processes of the group that were killed for want of memory
    """

    cpu_s: float
    memory_bytes: float | None
    limit_bytes: float | None
    quota_cores: float | None
    periods: float | None
    throttled_periods: float | None
    throttled_s: float | None
    oom_kills: float | None


class ControlGroup:
    """The files of one control group, found once.

    :param processor: folder of the processor's limits and throttling
    :param accounting: folder of the processor's use
    :param memory: folder of memory; None where the controller is missing
    :param unified: whether it is version 2
    """

    def __init__(self, *, processor: Path, accounting: Path, memory: Path | None, unified: bool) -> None:
        self._processor, self._accounting, self._memory, self._unified = processor, accounting, memory, unified

    @classmethod
    def of(cls, pid: int, root: Path = Path("/")) -> ControlGroup:
        """The control group of a living process.

        :param root: where the files of the system are
        :raises Unmeasured: the process has ended, or its group cannot be seen from here
        """
        try:
            paths = _paths((root / f"proc/{pid}/cgroup").read_text(encoding="utf-8"))
        except (FileNotFoundError, ProcessLookupError) as error:
            raise Unmeasured(GONE) from error
        mounts = _mounts((root / "proc/self/mountinfo").read_text(encoding="utf-8"))
        found: dict[str, Path] = {}
        for controller in ("cpu", "cpuacct", "memory", ""):
            if controller in paths and controller in mounts:
                within, at = mounts[controller]
                folder = _folder(root, at, within, paths[controller])
                # A process in a container of its own may be told of groups that lie outside of what it sees.
                if folder.is_dir():
                    found[controller] = folder
        if "cpuacct" in found and "cpu" in found:
            return cls(processor=found["cpu"], accounting=found["cpuacct"], memory=found.get("memory"), unified=False)
        if "" in found:
            return cls(processor=found[""], accounting=found[""], memory=found[""], unified=True)
        if not (root / f"proc/{pid}").exists():
            raise Unmeasured(GONE)
        raise Unmeasured("the server's control group cannot be seen from here")

    def read(self) -> Counted:
        """Read its files.

        :raises Unmeasured: the group is gone, as a container's is when it stops
        """
        return self._read_unified() if self._unified else self._read_first()

    def _read_first(self) -> Counted:
        usage = _text(self._accounting / "cpuacct.usage")
        if usage is None:
            raise Unmeasured(GONE)
        stat = _numbers(_text(self._processor / "cpu.stat"))
        quota_us = _number(_text(self._processor / "cpu.cfs_quota_us"))
        period_us = _number(_text(self._processor / "cpu.cfs_period_us"))
        throttled_ns = stat.get("throttled_time")
        used = limit = kills = None
        if self._memory is not None:
            used = _number(_text(self._memory / "memory.usage_in_bytes"))
            used = _working(used, _numbers(_text(self._memory / "memory.stat")).get("total_inactive_file"))
            limit = _number(_text(self._memory / "memory.limit_in_bytes"))
            kills = _numbers(_text(self._memory / "memory.oom_control")).get("oom_kill")
        return Counted(
            cpu_s=int(usage) / 1e9,
            memory_bytes=used,
            limit_bytes=limit if limit is not None and limit < _NO_LIMIT else None,
            quota_cores=quota_us / period_us if quota_us is not None and quota_us > 0 and period_us else None,
            periods=stat.get("nr_periods"),
            throttled_periods=stat.get("nr_throttled"),
            throttled_s=None if throttled_ns is None else throttled_ns / 1e9,
            oom_kills=kills,
        )

    def _read_unified(self) -> Counted:
        stat = _numbers(_text(self._processor / "cpu.stat"))
        if "usage_usec" not in stat:
            raise Unmeasured(GONE)
        quota, _, period = (_text(self._processor / "cpu.max") or "max").partition(" ")
        quota_us, period_us = _number(quota), _number(period)
        throttled_us = stat.get("throttled_usec")
        assert self._memory is not None
        used = _number(_text(self._memory / "memory.current"))
        return Counted(
            cpu_s=stat["usage_usec"] / 1e6,
            memory_bytes=_working(used, _numbers(_text(self._memory / "memory.stat")).get("inactive_file")),
            limit_bytes=_number(_text(self._memory / "memory.max")),
            quota_cores=quota_us / period_us if quota_us is not None and period_us else None,
            periods=stat.get("nr_periods"),
            throttled_periods=stat.get("nr_throttled"),
            throttled_s=None if throttled_us is None else throttled_us / 1e6,
            oom_kills=_numbers(_text(self._memory / "memory.events")).get("oom_kill"),
        )


def _paths(text: str) -> dict[str, str]:
    """Where in each controller's tree a process is; version 2's tree has the name ''.

    >>> _paths("4:cpu,cpuacct:/docker/ab\\n0::/docker.slice\\n")
    {'cpu': '/docker/ab', 'cpuacct': '/docker/ab', '': '/docker.slice'}
    """
    lines = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    return {controller: path for _, controllers, path in lines for controller in controllers.split(",")}


def _mounts(text: str) -> dict[str, tuple[str, str]]:
    """Of each controller's tree, which part is mounted, and where; proc(5) has the fields of mountinfo."""
    found: dict[str, tuple[str, str]] = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if kind[0] == "cgroup":
            for option in kind[-1].split(","):
                found.setdefault(option, (fields[3], fields[4]))
        elif kind[0] == "cgroup2":
            found.setdefault("", (fields[3], fields[4]))
    return found


def _folder(root: Path, at: str, within: str, path: str) -> Path:
    """Where a group's files are; a mount may show a part of the tree only."""
    inside = path[len(within) :] if within != "/" and (path + "/").startswith(within + "/") else path
    return root / at.lstrip("/") / inside.lstrip("/")


def _text(path: Path) -> str | None:
    """The whole of a small file; None where there is none, or no longer."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, _MOST_BYTES).decode("ascii", errors="replace").strip()
    except OSError:  # removed between opening and reading
        return None
    finally:
        os.close(descriptor)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(int(text))
    except ValueError:  # "max": no limit
        return None


def _numbers(text: str | None) -> Mapping[str, float]:
    """Lines of a name and a number."""
    pairs = [line.split() for line in (text or "").splitlines()]
    return {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2}


def _working(used: float | None, inactive: float | None) -> float | None:
    return None if used is None or inactive is None else max(0.0, used - inactive)
