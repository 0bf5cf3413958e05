"""Services that are there already: named as ``web=http://10.0.0.5:8080``, once for every instance.

They are called by the load, and that is all: nobody here starts them, stops them, measures them or tells them a variant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from harness.errors import UsageError
from harness.model import Service
from harness.stack.services.service import ServiceEndpoint

VARIABLE = "FLASHCROWD_EXTERNAL_SERVICES"
_FORM = "web=http://HOST:PORT"


def endpoints(services: Sequence[Service], named: Sequence[str]) -> Mapping[str, tuple[ServiceEndpoint, ...]]:
    """The instances of each service of a topology.

    :param named: as the user wrote them
    :raises UsageError: an address is wrong, one is missing, or a service does not listen and so cannot be named
    """
    found: dict[str, list[ServiceEndpoint]] = {service.name: [] for service in services}
    for text in named:
        name, _, address = text.partition("=")
        host, port = _parse(address)
        if name in found:
            number = len(found[name]) + 1
            found[name].append(ServiceEndpoint(name=f"{name}-{number}", service=name, host=host, port=port))
    for service in services:
        if not service.listens:
            raise UsageError(
                f"--stack external: the incident runs processes of its own ({service.name}) beside the databases, which "
                "cannot be started there: run it with --stack embedded or docker"
            )
        if len(found[service.name]) < service.instances:
            raise UsageError(
                f"--stack external: the incident has {service.instances} of the service {service.name}, and {VARIABLE} names "
                f"{len(found[service.name])}: start them yourself and name them all, as {_FORM} with a blank between them, or "
                "run it with --stack embedded or docker"
            )
    return {service.name: tuple(found[service.name][: service.instances]) for service in services}


def _parse(address: str) -> tuple[str, int]:
    wrong = UsageError(f"{VARIABLE}: must hold addresses such as {_FORM}, with a blank between them")
    try:
        parts = urlsplit(address)
        port = parts.port or 80
    except ValueError:
        raise wrong from None
    # Whatever else an address may hold, a password among it, would not reach the load.
    if parts.scheme != "http" or not parts.hostname or parts.username or parts.path.strip("/") or parts.query:
        raise wrong
    return parts.hostname, port
