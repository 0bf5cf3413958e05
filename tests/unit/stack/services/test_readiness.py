"""Whether a service is ready, asked of a real one in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.errors import StackError
from harness.model import Service
from harness.stack.services.readiness import await_ready, why_not_ready
from harness.stack.services.service import ServiceEndpoint

STATUSES = {"/healthz": 204, "/moved": 308, "/broken": 503}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(STATUSES[self.path])
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def service(**changes: object) -> Service:
    return Service(name="web", command=("web",), **changes)  # type: ignore[arg-type]


def at(port: int | None) -> ServiceEndpoint:
    return ServiceEndpoint(name="web-1", service="web", host="127.0.0.1", port=port)


def test_one_that_answers_is_ready(port: int) -> None:
    assert why_not_ready(service(ready="/healthz"), at(port)) is None
    assert why_not_ready(service(ready="/moved"), at(port)) is None
    assert why_not_ready(service(), at(port)) is None  # it takes connections
    assert why_not_ready(service(listens=False), at(None)) is None


def test_one_that_answers_with_an_error_is_not(port: int) -> None:
    assert why_not_ready(service(ready="/broken"), at(port)) == "/broken was answered with status 503"


def test_a_wait_that_takes_too_long_says_for_what(port: int) -> None:
    with pytest.raises(StackError, match=r"for web-1 to be ready \(/broken was answered with status 503\)"):
        await_ready(service(ready="/broken", ready_limit_s=0.1), at(port), lambda: None)


def test_one_that_dies_is_not_waited_for() -> None:
    died = "web-1 ended with exit status 1; its last lines:\n    OSError: [Errno 98] Address already in use"
    with pytest.raises(StackError, match=r"(?s)web-1 did not come up: .*Somebody else got port 1 "):
        await_ready(service(), at(1), lambda: died)
