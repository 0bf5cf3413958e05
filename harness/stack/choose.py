"""Which provider brings a topology's servers up; the one place that knows them all.

A provider is imported when it is chosen: Docker's SDK takes a quarter of a second, for which child processes have no use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum

from harness.model import Dataset, Topology
from harness.stack.embedded import sweep as embedded_sweep
from harness.stack.stack import Stack
from harness.stack.sweep import sweep


class Provider(StrEnum):
    """What brings the servers up."""

    AUTO = "auto"
    DOCKER = "docker"
    EMBEDDED = "embedded"
    EXTERNAL = "external"


#: The providers that this process has begun to bring servers up with.
_begun: set[Provider] = set()


def choose(provider: Provider, topology: Topology, say: Callable[[str], None]) -> Provider:
    """The provider that ``auto`` stands for here, saying which and why; any other is taken as it is.

    Containers are preferred, because only they hold servers to parts of a core and to memory, and can be cut off.
    """
    if provider is not Provider.AUTO:
        return provider
    why_not = why_no_docker(topology)
    if why_not is None:
        say("stack: docker, servers in containers (an engine answers and has the images)")
        return Provider.DOCKER
    say(f"stack: embedded, servers as child processes ({why_not})")
    return Provider.EMBEDDED


@contextmanager
def up(
    provider: Provider, topology: Topology, dataset: Dataset, *, scale: float, seed: int, say: Callable[[str], None]
) -> Iterator[Stack]:
    """The servers of a topology with a seeded dataset; torn down on every path. What killed runs left is removed first.

    :param scale: size of the dataset, 1.0 is what the incident was tuned with; used as it is
    :param say: is told what takes time, and what was cleaned up
    :raises StackError: a server did not come up
    """
    chosen = choose(provider, topology, say)
    # A killed run's containers are gone before the folder of their logs is: without one, no engine is asked.
    for line in sweep(containers=chosen is Provider.DOCKER or embedded_sweep.is_left()):
        say(line)
    _begun.add(chosen)
    with _starting(chosen)(topology, dataset, scale=scale, seed=seed, say=say) as stack:
        yield stack


def why_no_docker(topology: Topology) -> str | None:
    """Why the servers cannot be containers here; None if they can."""
    from harness.stack.docker import stack

    return stack.why_no_docker(topology)


def stop_own() -> None:
    """Stop at once what this process is starting, whoever starts it, so that the thread that waits for it fails."""
    if Provider.DOCKER in _begun:
        from harness.stack.docker import sweep as docker_sweep

        docker_sweep.stop_own()
    if Provider.EXTERNAL in _begun:
        from harness.stack.external.session import cancel_own

        cancel_own()
    embedded_sweep.stop_own()


def _starting(chosen: Provider) -> Callable[..., AbstractContextManager[Stack]]:
    match chosen:
        case Provider.EXTERNAL:
            from harness.stack.external.stack import ExternalStack

            return ExternalStack.up
        case Provider.DOCKER:
            from harness.stack.docker.stack import DockerStack

            return DockerStack.up
        case _:
            from harness.stack.embedded import EmbeddedStack

            return EmbeddedStack.up
