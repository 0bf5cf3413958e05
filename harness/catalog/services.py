"""Checks the services of a topology before anything is started."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.catalog.declared_types import TypeProblem
from harness.load.plan import SERVICE_VARIABLE
from harness.model import Service, Topology
from harness.stack.services.service import RESERVED

#: As host names and samples' labels have it; a number at the end is an instance's.
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NUMBERED = re.compile(r".*-\d+")
_OF_DATABASES = ("postgres", "mongo")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MOST_INSTANCES = 32
#: An interpreter alone needs about ten.
LEAST_MEMORY_BYTES = 16 * 1024**2


def services_problem(topology: Topology) -> TypeProblem | None:
    """The first thing that is wrong with a topology's services; None if nothing is."""
    return next(_problems(topology.services), None)


def _problems(services: Sequence[Service]) -> Iterator[TypeProblem]:
    for number, service in enumerate(services):
        field = f"topology.services[{number}]"
        yield from _name(field, service, [other.name for other in services[:number]])
        yield from _command(f"{field}.command", service.command)
        yield from _allotment(field, service)
        yield from _environment(f"{field}.environment", service)
        yield from _readiness(field, service)


def _name(field: str, service: Service, before: Sequence[str]) -> Iterator[TypeProblem]:
    name, field = service.name, f"{field}.name"
    if _NAME.fullmatch(name) is None or _NUMBERED.fullmatch(name) is not None:
        expected = "lower-case words with hyphens, without a number at the end: its instances are numbered"
        yield TypeProblem(field=field, value=name, expected=expected)
    elif name.split("-")[0] in _OF_DATABASES:
        expected = f"a name that does not begin with {' or '.join(_OF_DATABASES)}: the databases' servers are called so"
        yield TypeProblem(field=field, value=name, expected=expected)
    elif name in before:
        yield TypeProblem(field=field, value=name, expected="a name that no other service has")


def _command(field: str, command: Sequence[str]) -> Iterator[TypeProblem]:
    if not command or not command[0].strip():
        expected = 'a program and its arguments, such as ("python", "-m", "loadtests.my_incident.service")'
        yield TypeProblem(field=field, value=command, expected=expected)
    elif any("\0" in word for word in command):
        yield TypeProblem(field=field, value=command, expected="words without a zero byte")
    elif command[0] != "python" and os.sep not in command[0] and shutil.which(command[0]) is None:
        yield TypeProblem(field=field, value=command, expected=f"a program that is installed; {command[0]} is not")
    elif os.sep in command[0] and not Path(command[0]).is_absolute():
        expected = "`python`, a program's name, or an absolute path: its working folder is an empty one of its own"
        yield TypeProblem(field=field, value=command, expected=expected)


def _allotment(field: str, service: Service) -> Iterator[TypeProblem]:
    if not 1 <= service.instances <= MOST_INSTANCES:
        yield TypeProblem(field=f"{field}.instances", value=service.instances, expected=f"1 to {MOST_INSTANCES}")
    if not (service.cpus > 0 and math.isfinite(service.cpus)):
        yield TypeProblem(field=f"{field}.cpus", value=service.cpus, expected="a number above 0")
    if service.memory_bytes is not None and service.memory_bytes < LEAST_MEMORY_BYTES:
        expected = f"at least {LEAST_MEMORY_BYTES // 1024**2} MiB: no interpreter starts in less"
        yield TypeProblem(field=f"{field}.memory_bytes", value=service.memory_bytes, expected=expected)


def _environment(field: str, service: Service) -> Iterator[TypeProblem]:
    for name, value in service.environment.items():
        if _VARIABLE.fullmatch(name) is None:
            yield TypeProblem(field=field, value=name, expected="names of variables: letters, digits, underscores")
        elif name in RESERVED or name.startswith(SERVICE_VARIABLE):
            expected = "other variables: this one is set by the stack"
            yield TypeProblem(field=field, value=name, expected=expected)
        elif "\0" in value:
            yield TypeProblem(field=f"{field}[{name!r}]", value=value, expected="a text without a zero byte")


def _readiness(field: str, service: Service) -> Iterator[TypeProblem]:
    if service.ready is not None and not (service.ready.startswith("/") and service.ready.isprintable()):
        yield TypeProblem(field=f"{field}.ready", value=service.ready, expected="a path such as /healthz, or None")
    elif service.ready is not None and not service.listens:
        expected = "None: it does not listen (listens=False), so it cannot be asked"
        yield TypeProblem(field=f"{field}.ready", value=service.ready, expected=expected)
    if not (service.ready_limit_s > 0 and math.isfinite(service.ready_limit_s)):
        yield TypeProblem(field=f"{field}.ready_limit_s", value=service.ready_limit_s, expected="a number above 0")
    after_s = service.restart_after_s
    if after_s is not None and not (after_s >= 0 and math.isfinite(after_s)):
        expected = "0 or more seconds, or None where it is not started again"
        yield TypeProblem(field=f"{field}.restart_after_s", value=after_s, expected=expected)
