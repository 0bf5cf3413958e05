"""Asks Linux to run this thread promptly when it wakes.

A thread that wakes waits until whoever runs on its core has used up a slice, some milliseconds, unless its own slice is
shorter (EEVDF with PREEMPT_SHORT, Linux 6.12 and later). The loop's thread works in bursts of tens of microseconds, so
a short slice costs its neighbours nothing and arrivals begin in time. It needs no privilege and gives no more CPU.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

SLICE_NS = 100_000  # the shortest that the kernel takes
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}


class _SchedAttr(ctypes.Structure):
    """struct sched_attr in its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def shorten() -> bool:
    """Shorten the calling thread's slice; its policy stays the ordinary one, its niceness what it is.

    :returns: whether the system took it; an older kernel takes it and pays no heed
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _SchedAttr(size=ctypes.sizeof(_SchedAttr), nice=nice, runtime=SLICE_NS)
    return bool(ctypes.CDLL(None).syscall(number, 0, ctypes.byref(attributes), 0) == 0)
