"""All services of a stack: up, reset, logs, down. The same for every provider that can start processes.

1 give every instance its place: cores, an address that it keeps, a folder for its log
2 start all instances at once, each with the addresses of databases and services, and wait until all are ready
3 the run: supervisors start again what crashed, and every crash and restart is written down
4 between variants the instances end before the databases are put back, and begin from fresh processes afterwards
5 end all of them, on every path
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from harness.model import Service
from harness.stack.cores import Held
from harness.stack.logs import Logs
from harness.stack.services.instance import Place, ServiceInstance
from harness.stack.services.service import ServiceEndpoint, StackEvent, addresses, environment

#: Gives one instance its place, while a context lasts.
Placing = Callable[[Service, str, Held], AbstractContextManager[Place]]


def cores_asked(services: Sequence[Service]) -> list[float]:
    """What every instance asks for, in order."""
    return [service.cpus for service in services for _ in range(service.instances)]


class ServiceSet:
    """Running services; made by :meth:`up`.

    :ivar instances: each as the timeline acts upon it
    :ivar events: crashes and restarts since the last :meth:`begin`
    """

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = tuple(services)
        self.instances: list[ServiceInstance] = []
        self.events: list[StackEvent] = []

    @classmethod
    @contextmanager
    def up(
        cls,
        services: Sequence[Service],
        place: Placing,
        databases: Mapping[str, str],
        *,
        held: Sequence[Held],
        say: Callable[[str], None],
    ) -> Iterator[Self]:
        """Start all instances and wait until they are ready; ended on every path.

        :param place: how the provider runs one instance
        :param databases: environment variables with where these are
        :param held: what each instance gets
        :raises StackError: one did not come up
        """
        found = cls(services)
        allotted = iter(held)
        with ExitStack() as closing:
            for service in services:
                for name in service.instance_names:
                    placed = closing.enter_context(place(service, name, next(allotted)))
                    found.instances.append(ServiceInstance(service, placed, found.events.append))
            closing.callback(found.end)
            if services:
                say(f"starting {', '.join(instance.name for instance in found.instances)}")
                found.begin(databases, variant=None)
            yield found

    @property
    def endpoints(self) -> Mapping[str, tuple[ServiceEndpoint, ...]]:
        """The instances of each service by its name."""
        return {
            service.name: tuple(one.place.endpoint for one in self.instances if one.service is service)
            for service in self._services
        }

    def begin(self, databases: Mapping[str, str], *, variant: str | None) -> None:
        """Start all instances from nothing, and wait until they are ready.

        :raises StackError: one did not come up
        """
        if not self.instances:
            return
        others = {**databases, **addresses(instance.place.endpoint for instance in self.instances)}

        def begin(one: ServiceInstance) -> None:
            place = one.place
            one.begin(
                environment(one.service, place.endpoint, others, variant=variant, host=place.host, folder=place.folder)
            )
            one.await_ready()

        with ThreadPoolExecutor(len(self.instances)) as pool:
            list(pool.map(begin, self.instances))
        self.events.clear()
        for instance in self.instances:
            instance.supervise()

    def end(self) -> None:
        """End all instances."""
        if self.instances:
            with ThreadPoolExecutor(len(self.instances)) as pool:
                list(pool.map(ServiceInstance.end, self.instances))

    def check_alive(self) -> str | None:
        """None while all instances live that are not down on purpose or about to be started again."""
        return next((died for instance in self.instances if (died := instance.how_it_died()) is not None), None)

    def save_logs(self, folder: Path) -> None:
        """Copy what the instances printed since the last :meth:`begin` into ``folder``."""
        for instance in self.instances:
            log = instance.place.log_file
            Logs(log.parent, log.name).save(folder, name=f"{instance.name}.log")

    def describe(self) -> dict[str, Any]:
        """The list ``services`` in the object ``stack`` of run.json, where there are any."""
        described = [
            {
                "name": service.name,
                "command": list(service.command),
                "restart_after_s": service.restart_after_s,
                "memory_bytes": service.memory_bytes,
                "instances": [
                    {
                        "name": one.name,
                        "cpus": one.place.held.cpus,
                        "cores": None if one.place.held.cores is None else list(one.place.held.cores),
                        "memory_bytes": service.memory_bytes,
                        "notes": list(one.place.held.notes),
                    }
                    for one in self.instances
                    if one.service is service
                ],
            }
            for service in self._services
        ]
        return {"services": described} if described else {}
