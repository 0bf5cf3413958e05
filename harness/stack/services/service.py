"""Services of a stack: where their instances are, what they find in their environment, and what befell them.

Every instance gets, besides what its declaration says,

    FLASHCROWD_DSN, FLASHCROWD_READERS, FLASHCROWD_MONGO   the databases, as the load's workers get them, passwords and all;
                                                           replicas as they were at the last reset
    FLASHCROWD_SERVICE_<NAME>                              all instances of each service that listens, with blanks between them
    FLASHCROWD_VARIANT                                     which variant it is to be; missing under ``flashcrowd up``
    FLASHCROWD_INSTANCE                                    its own name, such as ``web-1``
    FLASHCROWD_FOLDER                                      its working folder, empty when it starts; HOME and TMPDIR too
    HOST, PORT                                             where it is to listen; missing where it does not listen
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.load.plan import DSN_VARIABLE, MONGO_VARIABLE, READERS_VARIABLE, VARIANT_VARIABLE, service_variable
from harness.model import Service

INSTANCE_VARIABLE = "FLASHCROWD_INSTANCE"
FOLDER_VARIABLE = "FLASHCROWD_FOLDER"
#: Names one more folder in which incidents, and the modules of their services, are looked for.
OWN_FOLDER = "FLASHCROWD_LOADTESTS"
#: What a declaration may not set: the stack does.
RESERVED = (
    DSN_VARIABLE, READERS_VARIABLE, MONGO_VARIABLE, VARIANT_VARIABLE, INSTANCE_VARIABLE, FOLDER_VARIABLE,
    "HOST", "PORT", "HOME", "TMPDIR", "PYTHONPATH",
)  # fmt: skip
PYTHON = "python"
#: Last words of how an instance died that had used more memory than it may.
FOR_WANT_OF_MEMORY = "for want of memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEndpoint:
    """One instance of a service.

    :param name: the label ``name`` of its samples, such as ``web-1``
    :param service: of which service it is one: the label ``service``
    :param port: None: it does not listen
    """

    name: str
    service: str
    host: str
    port: int | None

    @property
    def url(self) -> str | None:
        """Where a client reaches it; None: it does not listen."""
        if self.port is None:
            return None
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackEvent:
    """Something that befell a server and that the stack has dealt with.

    :param at_ns: CLOCK_MONOTONIC
    :param state: ``crashed``: it ended by itself; ``restarted``: its supervisor has started it again
    :param reason: why it had ended: ``memory``, or ``exit`` for all else
    :param text: for people
    """

    at_ns: int
    server: str
    state: str
    reason: str
    text: str


def addresses(endpoints: Iterable[ServiceEndpoint]) -> dict[str, str]:
    """Environment variables with where services are; nothing of those that do not listen.

    >>> addresses([ServiceEndpoint(name=f"web-{n}", service="web", host="127.0.0.1", port=8000 + n) for n in (1, 2)])
    {'FLASHCROWD_SERVICE_WEB': 'http://127.0.0.1:8001 http://127.0.0.1:8002'}
    """
    found: dict[str, str] = {}
    for endpoint in endpoints:
        if endpoint.url is not None:
            variable = service_variable(endpoint.service)
            found[variable] = f"{found[variable]} {endpoint.url}" if variable in found else endpoint.url
    return found


def environment(
    service: Service,
    endpoint: ServiceEndpoint,
    others: Mapping[str, str],
    *,
    variant: str | None,
    host: str,
    folder: str,
) -> dict[str, str]:
    """The whole environment of an instance; holds passwords, so it is never shown.

    :param others: where databases and services are
    :param host: the address to listen on
    :param folder: its working folder, as it sees it
    """
    own = {INSTANCE_VARIABLE: endpoint.name, FOLDER_VARIABLE: folder, "HOME": folder, "TMPDIR": folder}
    if variant is not None:
        own[VARIANT_VARIABLE] = variant
    if endpoint.port is not None:
        own |= {"HOST": host, "PORT": str(endpoint.port)}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": os.pathsep.join(map(str, module_folders())),
        "PYTHONUNBUFFERED": "1",  # what it said last is not lost with it
        "PYTHONDONTWRITEBYTECODE": "1",
        **service.environment,
        **others,
        **own,
    }


def arguments(command: Sequence[str]) -> list[str]:
    """A service's command as it is run: ``python`` is the interpreter of the harness."""
    return [sys.executable, *command[1:]] if command[0] == PYTHON else list(command)


def module_folders() -> tuple[Path, ...]:
    """Where a service's modules are found besides the interpreter's packages: beside the harness, and in one's own folder."""
    shipped = Path(__file__).resolve().parents[3]
    own = os.environ.get(OWN_FOLDER)
    return (shipped,) if not own else (shipped, Path(own).expanduser().resolve())


def reason_of(died: str) -> str:
    """Why an instance ended: ``memory`` or ``exit``.

    :param died: how it died, its last lines below

    >>> reason_of("web-1 was killed for want of memory"), reason_of("web-1 ended with exit status 1\\n for want of memory")
    ('memory', 'exit')
    """
    return "memory" if FOR_WANT_OF_MEMORY in died.partition("\n")[0] else "exit"
