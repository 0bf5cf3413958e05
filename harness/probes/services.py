"""Services: how often each instance was started again and why, and which are down."""

from __future__ import annotations

from collections import Counter
from itertools import chain

from harness.model import Sample
from harness.stack.stack import Stack

#: Why an instance had ended, as :class:`harness.stack.services.service.StackEvent` says it.
REASONS = ("exit", "memory")


class ServiceProbe:
    """What the stack's supervisors know; asking them costs nothing."""

    name = "services"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    async def sample(self, at_s: float) -> list[Sample]:
        """``flashcrowd_service_restarts_total`` by instance and ``reason``, ``flashcrowd_service_down`` by instance."""
        events = tuple(self._stack.events)
        restarts = Counter((event.server, event.reason) for event in events if event.state == "restarted")
        state = {event.server: event.state for event in events}
        samples: list[Sample] = []
        for endpoint in chain.from_iterable(self._stack.services.values()):
            labels = {"name": endpoint.name, "service": endpoint.service}
            samples += [
                Sample(
                    at_s=at_s,
                    metric="flashcrowd_service_restarts_total",
                    value=float(restarts[endpoint.name, reason]),
                    labels={**labels, "reason": reason},
                )
                for reason in REASONS
            ]
            down = state.get(endpoint.name) == "crashed" or self._stack.servers[endpoint.name].down_on_purpose
            samples.append(Sample(at_s=at_s, metric="flashcrowd_service_down", value=float(down), labels=labels))
        return samples

    async def close(self) -> None:
        """Nothing is held."""
