"""Go, stop and news of replicas from the harness, one JSON object a line on standard input; its end means that the harness is gone.

Standard input is a pipe of which only the harness holds the other end, so even a harness that was killed with -9
ends its workers, on every system, without anybody polling for parents.
"""

from __future__ import annotations

import json
import os
from collections import deque
from typing import Any

from gevent import monkey

_start_thread = monkey.get_original("_thread", "start_new_thread")


class Control:
    """Commands in the order they came, read on a native thread of its own.

    :ivar commands: taken with ``popleft`` by Locust's thread; ``{"orphaned": true}`` is the last one
    """

    def __init__(self) -> None:
        self.commands: deque[dict[str, Any]] = deque()
        _start_thread(self._read, ())

    def _read(self) -> None:
        rest = b""
        while data := os.read(0, 65536):
            *lines, rest = (rest + data).split(b"\n")
            self.commands.extend(json.loads(line) for line in lines if line.strip())
        self.commands.append({"orphaned": True})
