"""What the system lets these tests do, from what it says of this process."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_CAP_SYS_NICE = 23


def may_be_preferred(niceness: int) -> bool:
    """Whether this process may give its own so low a niceness: root in a container may not, unless it was given that."""
    status = Path("/proc/self/status")
    if not status.exists():
        return os.geteuid() == 0
    (effective,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("CapEff:")]
    if int(effective, 16) >> _CAP_SYS_NICE & 1:
        return True
    limit, _ = resource.getrlimit(resource.RLIMIT_NICE)
    return limit == resource.RLIM_INFINITY or 20 - limit <= niceness
