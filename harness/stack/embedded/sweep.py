"""Removes what killed runs left: their servers and folders. What a live run owns is never touched."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import psutil

from harness.stack import family, processes
from harness.stack.embedded import instance as instances
from harness.stack.embedded.instance import Instance, Owner

IMMEDIATE_S = 10.0
POSTGRES, MONGODB = "PostgreSQL", "MongoDB"
#: What programs are called for people; anything else is a service's.
PRODUCTS = {name: MONGODB if name == "mongod" else POSTGRES for name in processes.PROGRAMS}
SERVICE = "a service, process"


def sweep() -> list[str]:
    """Remove every instance whose harness is gone.

    :returns: a line for each thing removed
    """
    removed: list[str] = []
    with instances.lock() as folder:
        for instance in instances.existing(folder):
            if not _in_use(owner := instance.owner()):
                removed += _remove(instance, owner)
    return removed


def is_left() -> bool:
    """Whether there is an instance whose harness is gone."""
    with instances.lock() as folder:
        return not all(_in_use(instance.owner()) for instance in instances.existing(folder))


def stop_own() -> None:
    """Stop at once what this process is starting, so that the thread that waits for it fails and cleans up after itself."""
    with suppress(OSError):  # a folder that is just being removed
        for instance in instances.existing(instances.base()):
            harness = instance.owner().harness
            if harness is not None and harness.pid == os.getpid():
                _end(processes.of_data_folder(instance.data))


def _in_use(owner: Owner) -> bool:
    return owner.harness is not None and owner.harness.lives()


def _remove(instance: Instance, owner: Owner) -> list[str]:
    left = processes.of_data_folder(instance.data)
    servers = [process for process in left if _is_server(process, instance, owner)]
    said = [f"stopped {_product(process)} {process.pid}, left by a killed run" for process in servers]
    _end(servers)
    processes.end(processes.of_data_folder(instance.data))
    owner.memory.release()
    instance.remove()
    said.append(f"removed {instance.folder}, left by a killed run")
    return said


def _end(left: list[psutil.Process]) -> None:
    """End servers' processes at once: their data is thrown away, so its recovery is nobody's concern."""
    postgres = [process for process in left if _product(process) == POSTGRES]
    # A mongod's orderly shutdown takes seconds, and it leaves nothing outside its folder; no more does a service.
    processes.end(process for process in left if process not in postgres)
    for process in postgres:
        family.resume(process.pid)  # paused ones would not hear
    # Immediate shutdown, in which a postmaster ends its backends and removes its shared memory.
    processes.end(postgres, number=signal.SIGQUIT, limit_s=IMMEDIATE_S)


def _product(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return PRODUCTS.get(process.name(), SERVICE)
    return SERVICE


def _is_server(process: psutil.Process, instance: Instance, owner: Owner) -> bool:
    try:
        if owner.server is not None and process.pid == owner.server.pid:
            return owner.server.matches(process)
        # Killed between its start and the note of it: only a postmaster or a mongod has the folder in its arguments.
        return str(instance.data) in process.cmdline()
    except psutil.NoSuchProcess:
        return False
