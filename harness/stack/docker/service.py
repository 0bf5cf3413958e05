"""An instance of a service in a container.

Its image is empty but for folders and links: the programs of this machine, its Python with the packages of the harness, and
the modules of the incident are seen in it read-only, each at its own path. So a service needs no image that would have to be
made again with every change of it, and what runs as a child process runs in a container. It runs as the user of the harness,
with a memory that is its own: what it writes (its working folder, /tmp) is gone when it ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.model import Service
from harness.stack.cores import Held
from harness.stack.docker import container as containers
from harness.stack.docker.container import Allotment, Container, Plan
from harness.stack.docker.images import Image
from harness.stack.docker.rootfs import TOP_LINKS
from harness.stack.docker.server import DockerServer
from harness.stack.processes import SERVICE_LOG
from harness.stack.services import service as services
from harness.stack.services.service import ServiceEndpoint
from harness.stack.stack import Role

PORT = 8000
LOG = "/flashcrowd/log"
WORK = "/flashcrowd/work"
ANY = "0.0.0.0"
#: Where systems keep programs and libraries, as far as these are folders here and no links into /usr.
SYSTEM = ("usr", *TOP_LINKS, "opt", "nix")
#: What programs look up: libraries, names of users, the time zone, certificates.
LOOKED_UP = ("ld.so.cache", "passwd", "group", "nsswitch.conf", "localtime", "ssl", "alternatives")

# The first process of a container gets no signal that it does not ask for, so a service that leaves SIGTERM alone would never
# end: the shell is the first, and hands it on.
_SCRIPT = f"""
"$@" >>{LOG}/{SERVICE_LOG} 2>&1 &
service=$!
trap 'kill -TERM "$service" 2>/dev/null' TERM
while :; do
    wait "$service"
    status=$?
    kill -0 "$service" 2>/dev/null || exit "$status"
done
"""


class DockerPlace:
    """Where one instance runs; implements :class:`harness.stack.services.instance.Place`."""

    host = ANY
    folder = WORK

    def __init__(self, service: Service, name: str, held: Held, image: Image, place: containers.Place) -> None:
        self._service, self._image, self._place = service, image, place
        self.held = held
        address = place.network.new_address()
        port = PORT if service.listens else None
        self.endpoint = ServiceEndpoint(name=name, service=service.name, host=address, port=port)

    @property
    def log_file(self) -> Path:
        """What it prints."""
        return self._place.log(self.endpoint.name) / SERVICE_LOG

    def make(self, environment: Mapping[str, str]) -> DockerService:
        """A container that has not been started.

        :raises StackError: the engine does not create it
        """
        name = self.endpoint.name
        allotment = Allotment(cpus=self.held.cpus, memory_bytes=self._service.memory_bytes, cores=self.held.cores)
        plan = Plan(
            name=name,
            image=self._image,
            entrypoint=["/bin/sh", "-uc", _SCRIPT, name],
            command=services.arguments(self._service.command),
            environment=environment,
            allotment=allotment,
            binds=[(self._place.log(name), LOG, "rw"), *((path, str(path), "ro") for path in seen())],
            options={
                "user": f"{os.getuid()}:{os.getgid()}",
                "working_dir": WORK,
                "read_only": True,
                "tmpfs": {WORK: "mode=1777", "/tmp": "mode=1777"},
            },
        )
        return DockerService(containers.create(self._place, plan, self.endpoint.host), allotment)


class DockerService(DockerServer):
    """The container of an instance; implements :class:`harness.stack.services.instance.Node`."""

    def __init__(self, container: Container, allotment: Allotment) -> None:
        super().__init__(container=container, role=Role.SERVICE, allotment=allotment, await_ready=_by_the_instance)

    def look(self) -> str | None:
        """None while it runs or is down on purpose, else how it died; the kernel holds it to its memory."""
        return self.how_it_died()

    def remove(self) -> None:
        """Kill it and remove its container."""
        self.container.remove()


@contextmanager
def place(service: Service, name: str, held: Held, image: Image, where: containers.Place) -> Iterator[DockerPlace]:
    """A place for one instance."""
    yield DockerPlace(service, name, held, image, where)


def seen() -> list[Path]:
    """What of this machine is seen in a container, each at its own path; nothing that lies in another of them."""
    system = [path for name in SYSTEM if (path := Path("/") / name).is_dir() and not path.is_symlink()]
    python = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_prefix).resolve(), Path(sys.executable).parent]
    looked_up = [path for name in LOOKED_UP if (path := Path("/etc") / name).exists()]
    found: list[Path] = []
    for path in (*system, *looked_up, *python, *services.module_folders()):
        if not any(path.is_relative_to(other) for other in found):
            found = [*(other for other in found if not other.is_relative_to(path)), path]
    return found


def _by_the_instance() -> None:
    """An instance waits for its own readiness, so that it can be acted upon meanwhile."""
