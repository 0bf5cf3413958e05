"""The clocks: the monotonic one that everything is timed by, and the wall clock that tells when a run was."""

from __future__ import annotations

import ctypes
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness.doctor.finding import Finding, State

#: Every arrival, request and sample reads the clock; from a device it takes microseconds instead of tens of nanoseconds.
SLOW_SOURCES = ("hpet", "acpi_pm", "jiffies", "pit", "refined-jiffies")
#: A tenth of the shortest thing that is timed.
COARSEST_S = 1e-5
_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_READS = 2000
_STA_UNSYNC = 0x40
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """struct timex up to what is read; the kernel writes 208 bytes on 64-bit systems."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def clocks() -> Iterator[Finding]:
    """Both."""
    source = _SOURCE.read_text(encoding="ascii").strip() if _SOURCE.is_file() else None
    yield monotonic(source, smallest_step_s(), time.get_clock_info("monotonic").resolution)
    yield wall(synchronised())


def smallest_step_s() -> float:
    """The smallest step that the monotonic clock was seen to make."""
    readings = [time.monotonic_ns() for _ in range(_READS)]
    steps = [after - before for before, after in itertools.pairwise(readings) if after > before]
    return min(steps, default=0) / 1e9 or float("inf")


def monotonic(source: str | None, step_s: float, resolution_s: float) -> Finding:
    """Whether it is fine and quick enough to time requests by."""
    of = f" of {source}" if source else ""
    said = f"steps of {step_s * 1e9:,.0f} ns{of}" if step_s < float("inf") else f"no step seen{of}"
    if source in SLOW_SOURCES:
        return Finding(
            name="clock",
            state=State.WARNING,
            said=said,
            advice=f"the kernel reads the time from {source}, which is slow: see dmesg why it gave up tsc",
        )
    if max(step_s, resolution_s) > COARSEST_S:
        return Finding(
            name="clock",
            state=State.WARNING,
            said=said,
            advice="too coarse for requests of less than a tenth of a millisecond",
        )
    return Finding(name="clock", state=State.OK, said=said)


def synchronised() -> bool | None:
    """Whether the kernel says that something keeps the wall clock right (NTP); None where it cannot be told."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    told = _Timex()
    state = library.adjtimex(ctypes.byref(told))
    return None if state < 0 else state != _TIME_ERROR and not told.status & _STA_UNSYNC


def wall(kept: bool | None) -> Finding:
    """Whether times of day can be compared with those of other machines."""
    if kept:
        return Finding(name="wall clock", state=State.OK, said="kept right by NTP")
    if kept is None:
        return Finding(name="wall clock", state=State.OK, said="this system does not tell whether NTP keeps it right")
    return Finding(
        name="wall clock",
        state=State.WARNING,
        said="nothing keeps it right",
        advice="times of day in reports may be off, and cannot be held against other machines' logs: run an NTP client. Durations are not concerned",
    )
