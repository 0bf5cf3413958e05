"""Which provider brings a topology's servers up; the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum

from harness.model import Dataset, Topology
from harness.stack.embedded import EmbeddedStack
from harness.stack.embedded import sweep as embedded_sweep
from harness.stack.external import ExternalStack
from harness.stack.external.session import cancel_own
from harness.stack.stack import Stack


class Provider(StrEnum):
    """What brings the servers up."""

    AUTO = "auto"
    EMBEDDED = "embedded"
    EXTERNAL = "external"


def choose(provider: Provider, say: Callable[[str], None]) -> Provider:
    """The provider that ``auto`` stands for here, saying which and why; any other is taken as it is."""
    if provider is not Provider.AUTO:
        return provider
    say("stack: embedded, servers as child processes")
    return Provider.EMBEDDED


def up(
    provider: Provider, topology: Topology, dataset: Dataset, *, scale: float, seed: int, say: Callable[[str], None]
) -> AbstractContextManager[Stack]:
    """The servers of a topology with a seeded dataset, to be entered; torn down on every path.

    :param scale: size of the dataset, 1.0 is what the incident was tuned with; used as it is
    :param say: is told what takes time, and what was cleaned up
    :raises StackError: on entering, a server did not come up
    """
    if choose(provider, say) is Provider.EXTERNAL:
        return ExternalStack.up(topology, dataset, scale=scale, seed=seed, say=say)
    return EmbeddedStack.up(topology, dataset, scale=scale, seed=seed, say=say)


def stop_own() -> None:
    """Stop at once what this process is starting, whoever starts it, so that the thread that waits for it fails."""
    embedded_sweep.stop_own()
    cancel_own()
