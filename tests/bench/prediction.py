"""Response times that follow from a schedule alone, where the server answers at once but for a stretch in which it stands still."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def response_ns(due_ns: NDArray[np.int64], stopped_ns: int, resumed_ns: int) -> NDArray[np.int64]:
    """The least that each arrival's response takes, counted from when it was due.

    Whoever was due while the server stood still gets the answer when it goes on; everybody else at once. What the server
    needs to work off the queue comes on top, and is not predicted.

    >>> response_ns(np.array([10, 20, 25, 40]), 20, 40).tolist()
    [0, 20, 15, 0]
    """
    within = (due_ns >= stopped_ns) & (due_ns < resumed_ns)
    return np.where(within, resumed_ns - due_ns, 0)
