"""A page over HTTP, by a connection of its own."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from harness.load.locust_side import Arrival
from harness.load.plan import service_addresses


async def fetch(db: Any, arrival: Arrival) -> None:
    """One page.

    :raises OSError: the service is not there, or is gone before it has answered
    """
    (address,) = service_addresses("pages")
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(b"GET /page HTTP/1.0\r\n\r\n")
        answer = await reader.read()
    finally:
        writer.close()
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        raise ConnectionResetError("the service closed the connection before it had answered")
