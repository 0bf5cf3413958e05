"""Locust's master goes on when all expected workers are connected, and no sooner."""

from __future__ import annotations

from types import SimpleNamespace

import gevent

from harness.load.locust_side.master import await_workers


def test_it_goes_on_with_the_last_expected_worker() -> None:
    clients = SimpleNamespace(ready=[])
    environment = SimpleNamespace(parsed_options=SimpleNamespace(expect_workers=2))
    waiting = gevent.spawn(await_workers, environment=environment, runner=SimpleNamespace(clients=clients), web_ui=None)
    clients.ready.append("the first")
    assert not waiting.ready()
    gevent.sleep(0.05)
    assert not waiting.ready(), "one of two"
    clients.ready.append("the second")
    waiting.get(timeout=30)
