"""Which provider brings a topology's servers up; the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum

from harness.model import Dataset, Topology
from harness.stack.docker import DockerStack
from harness.stack.docker.stack import why_no_docker
from harness.stack.embedded import EmbeddedStack
from harness.stack.external import ExternalStack
from harness.stack.external.session import cancel_own
from harness.stack.stack import Stack
from harness.stack.sweep import stop_own as sweep_stop_own
from harness.stack.sweep import sweep


class Provider(StrEnum):
    """What brings the servers up."""

    AUTO = "auto"
    DOCKER = "docker"
    EMBEDDED = "embedded"
    EXTERNAL = "external"


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
    for line in sweep():
        say(line)
    starting: AbstractContextManager[Stack]
    match chosen:
        case Provider.EXTERNAL:
            starting = ExternalStack.up(topology, dataset, scale=scale, seed=seed, say=say)
        case Provider.DOCKER:
            starting = DockerStack.up(topology, dataset, scale=scale, seed=seed, say=say)
        case _:
            starting = EmbeddedStack.up(topology, dataset, scale=scale, seed=seed, say=say)
    with starting as stack:
        yield stack


def stop_own() -> None:
    """Stop at once what this process is starting, whoever starts it, so that the thread that waits for it fails."""
    sweep_stop_own()
    cancel_own()
