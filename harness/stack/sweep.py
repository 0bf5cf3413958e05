"""Removes what killed runs left, whichever provider they used. What a live run owns is never touched."""

from __future__ import annotations

from harness.stack.docker import sweep as docker_sweep
from harness.stack.embedded import sweep as embedded_sweep


def sweep() -> list[str]:
    """Remove servers, containers, networks and folders whose harness is gone.

    :returns: a line for each thing removed
    """
    # Containers first: what they write their logs into is a folder that goes then.
    return [*docker_sweep.sweep(), *embedded_sweep.sweep()]


def stop_own() -> None:
    """Stop at once what this process is starting, so that the thread that waits for it fails and cleans up after itself."""
    docker_sweep.stop_own()
    embedded_sweep.stop_own()
