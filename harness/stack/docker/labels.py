"""Whose a container, network or volume is: written on it as labels, so that it can be found by whoever sweeps.

The owner is a process, told by number and start (:class:`~harness.stack.processes.Identity`). Both mean something only
among processes that see each other, so the name of that circle is written beside: what a harness in another container
or on another machine started is not ours to judge.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.stack.processes import Identity

OWNER = "io.flashcrowd.owner"  # <process number>@<start in seconds since the epoch>
CIRCLE = "io.flashcrowd.circle"  # the processes that see each other
STACK = "io.flashcrowd.stack"  # the same for all that belongs to one stack
NAME = "io.flashcrowd.server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The labels of one stack of this process.

    :param stack: its name, which begins the names of its containers
    """

    stack: str

    def all(self, server: str | None = None) -> dict[str, str]:
        """As the engine takes them.

        :param server: which server of the stack it is
        """
        own = Identity.of(os.getpid())
        labels = {OWNER: f"{own.pid}@{own.started_s:.2f}", CIRCLE: circle(), STACK: self.stack}
        return labels if server is None else {**labels, NAME: server}


def circle() -> str:
    """The processes that this one sees, and that see it: a machine's, or a container's."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{platform.node()} {namespace}".strip()


def owner(labels: Mapping[str, str]) -> Identity | None:
    """The process that a thing belongs to; None where its labels do not say."""
    pid, _, started_s = labels.get(OWNER, "").partition("@")
    try:
        return Identity(pid=int(pid), started_s=float(started_s))
    except ValueError:
        return None


def is_left(labels: Mapping[str, str]) -> bool:
    """Whether its owner, one of our circle, is gone."""
    if labels.get(CIRCLE) != circle():
        return False
    who = owner(labels)
    return who is not None and not who.lives()
