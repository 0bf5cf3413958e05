"""What Locust's master does besides, where the harness starts it: it sends its workers off as soon as all are there."""

from __future__ import annotations

from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner

LOOK_S = 0.02


@events.init.add_listener
def await_workers(environment: Environment, runner: MasterRunner, **_: Any) -> None:
    """Return when all expected workers are connected. Locust would wait for them next, and looks once a second only."""
    while len(runner.clients.ready) < environment.parsed_options.expect_workers:
        gevent.sleep(LOOK_S)
