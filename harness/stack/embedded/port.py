"""Which port a server listens on: a free one, or the one that FLASHCROWD_PG_PORT names."""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress
from pathlib import Path

import psutil

from harness.errors import StackError

HOST = "127.0.0.1"
FORCED = "FLASHCROWD_PG_PORT"
_GIVEN_AWAY = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_000  # below it are the ports of well-known services
_TRIED = 100


def free() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def lasting() -> int:
    """A port that nothing listens on at this moment, and that the system gives to no outgoing connection.

    For a server that is stopped and started again at its port while a load makes connections. Where the system does not
    tell which ports it gives away, any free one.
    """
    try:
        first, last = map(int, _GIVEN_AWAY.read_text().split())
    except (OSError, ValueError):
        return free()
    own = [port for port in range(_FIRST, 65536) if not first <= port <= last]
    for port in random.sample(own, min(len(own), _TRIED)):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port
    return free()


def forced() -> int | None:
    """The port that the environment forces, checked to be free; None where it forces none.

    :raises StackError: not a port number, or taken
    """
    text = os.environ.get(FORCED, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise StackError(f"{FORCED}={text!r} is not a port number from 1 to 65535")
    port = int(text)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL does: a port in TIME_WAIT is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise taken(port, error.strerror or str(error)) from error
    return port


def taken(port: int, reason: str) -> StackError:
    """The error for a port that cannot be had although it must be; names its holder if that can be told."""
    holder = _holder(port)
    by = f" by {holder}" if holder else ""
    if os.environ.get(FORCED, "") != str(port):
        return StackError(f"port {port} of {HOST}, where the server was before, cannot be used ({reason}{by})")
    return StackError(
        f"port {port} of {HOST}, forced by {FORCED}, cannot be used ({reason}{by}): "
        f"stop what holds it, or unset {FORCED} and a free port is taken"
    )


def _holder(port: int) -> str | None:
    with suppress(psutil.Error, OSError):  # other users' sockets cannot be told by everyone
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port
            if listens and connection.pid:
                return f"process {connection.pid}, {psutil.Process(connection.pid).name()}"
    return None
