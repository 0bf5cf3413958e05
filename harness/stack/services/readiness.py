"""Whether an instance of a service is ready: it answers at a path, takes connections, or just runs."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from contextlib import closing

from harness.errors import StackError
from harness.model import Service
from harness.stack.services.service import ServiceEndpoint

#: Of one question; a service that is busy with its start answers late.
ANSWER_S = 2.0
_LOOK_AGAIN_S = 0.02
_GOOD_BELOW = 400


def await_ready(service: Service, endpoint: ServiceEndpoint, how_it_died: Callable[[], str | None]) -> None:
    """Wait until an instance is ready.

    :raises StackError: it died, or took too long
    """
    begun = time.monotonic()
    while True:
        if (died := how_it_died()) is not None:
            raise StackError(f"{endpoint.name} did not come up: {died}\n{_hint(endpoint, died)}")
        said = why_not_ready(service, endpoint)
        if said is None:
            return
        waited = time.monotonic() - begun
        if waited > service.ready_limit_s:
            raise StackError(
                f"waited {waited:.0f} s for {endpoint.name} to be ready ({said}): see that it listens on HOST and PORT, or "
                "raise ready_limit_s of the service"
            )
        time.sleep(_LOOK_AGAIN_S)


def why_not_ready(service: Service, endpoint: ServiceEndpoint) -> str | None:
    """What it answered or did not; None if it is ready."""
    if endpoint.port is None:
        return None
    try:
        if service.ready is None:
            socket.create_connection((endpoint.host, endpoint.port), timeout=ANSWER_S).close()
            return None
        with closing(http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=ANSWER_S)) as connection:
            connection.request("GET", service.ready)
            status = connection.getresponse().status
            return None if status < _GOOD_BELOW else f"{service.ready} was answered with status {status}"
    except (OSError, http.client.HTTPException) as error:
        return f"{endpoint.host}:{endpoint.port}: {error or type(error).__name__}"


def _hint(endpoint: ServiceEndpoint, died: str) -> str:
    if "ddress already in use" in died:
        return f"Somebody else got port {endpoint.port} a moment before: run it again."
    if "No module named" in died:
        return "Modules are found beside the harness (loadtests, fixtures) and in the folder that FLASHCROWD_LOADTESTS names."
    return "See the command and the environment of that service in topology.services of the incident."
