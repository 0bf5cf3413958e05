"""`--metrics` serves a run while it goes on, under the exporters' names, on loopback; without it nothing listens."""

from __future__ import annotations

import re
import signal
import socket
import urllib.request

import psutil

from harness.errors import Exit
from harness.stack import cores
from tests.integration.command import Command, Place, until

INCIDENT = "one-statement"


def listened_at(command: Command) -> set[tuple[str, int]]:
    """Addresses at which the harness itself listens."""
    connections = psutil.Process(command.pid).net_connections("inet")
    return {(one.laddr.ip, one.laddr.port) for one in connections if one.status == psutil.CONN_LISTEN}


def test_a_running_run_can_be_scraped(place: Place) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = place.begin_run(INCIDENT, "--duration", "60s", "--metrics", f":{port}")
    place.await_load(INCIDENT, "before", rows=400)
    assert listened_at(command) == {("127.0.0.1", port)}

    def scrape() -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    requests = 'flashcrowd_requests_total{operation="ask",outcome="ok"}'
    until(lambda: scrape().get(requests, 0) >= 400, "400 requests")
    first = scrape()
    names = {re.sub(r"\{.*", "", name) for name in first}
    assert {
        "pg_stat_activity_count", "pg_settings_max_connections", "pg_stat_database_deadlocks",
        "container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "flashcrowd_requests_total",
        "flashcrowd_response_time_seconds_bucket", "flashcrowd_offered_per_second",
    } <= names  # fmt: skip
    if len(cores.own_cores() or ()) > 1:
        assert {"node_cpu_seconds_total", "flashcrowd_core_others_seconds_total"} <= names
    assert first["pg_settings_max_connections"] == 40
    assert first['flashcrowd_offered_per_second{operation="ask"}'] == 200
    assert first['flashcrowd_run_info{incident="one-statement",variant="before"}'] == 1
    until(lambda: scrape()[requests] > first[requests], "the count to go on")
    command.signal(signal.SIGTERM)
    assert command.end() == Exit.INTERRUPTED, command.printed
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0, "with the run its figures are gone"
    assert place.left() == []


def test_without_it_nothing_is_served_and_nothing_is_told_to_the_world(place: Place) -> None:
    command = place.begin_run(INCIDENT, "--duration", "60s")
    place.await_load(INCIDENT, "before", rows=100)
    assert listened_at(command) == set()
    # what the others need among themselves is on loopback
    for process in place.processes():
        for one in process.net_connections("inet"):
            assert one.status != psutil.CONN_LISTEN or one.laddr.ip == "127.0.0.1", (process.cmdline(), one)
    command.signal(signal.SIGINT)
    command.end()
    assert place.left() == []
