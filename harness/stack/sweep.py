"""Removes what killed runs left, whichever provider they used. What a live run owns is never touched."""

from __future__ import annotations

from harness.stack.embedded import sweep as embedded_sweep


def sweep(*, containers: bool = True) -> list[str]:
    """Remove servers, containers, networks and folders whose harness is gone.

    :param containers: whether a Docker engine is asked, too
    :returns: a line for each thing removed
    """
    said: list[str] = []
    if containers:
        from harness.stack.docker import sweep as docker_sweep  # whose SDK takes a quarter of a second to import

        # Containers first: what they write their logs into is a folder that goes then.
        said += docker_sweep.sweep()
    return [*said, *embedded_sweep.sweep()]
