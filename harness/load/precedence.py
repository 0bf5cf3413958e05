"""Lets workers go first on the load's cores, where the system allows it.

Harness, Locust's master and other processes run there as well. However short its slice, a worker that wakes has to wait for one of
them once it has had its share of a moment, for as much as a tick of the system's clock: 4 ms, mostly on the full second, when the probes look.
Preferred workers leave the others a tenth of a core that they want whole, which is more than probes take; on a core of a
server that would be no measurement.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

NICENESS = -10


def prefer(pid: int) -> bool:
    """Have the system prefer a process, the first of its session, to others on its cores; threads that it begins later too.

    :returns: whether the system allows it: it takes root's privilege, or that for niceness. False as well where we were
        started to be nice ourselves
    """
    if os.getpriority(os.PRIO_PROCESS, 0) != 0:
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    except OSError:  # not permitted, or it has ended, which whoever watches it will find
        return False
    # Where sessions share cores among themselves (autogroup), niceness counts only inside of one.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS))
    return True
