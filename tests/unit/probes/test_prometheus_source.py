"""CPU of a server from what exporters say, in their own words."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.clock import Origin
from harness.probes.probe import Unmeasured
from harness.probes.prometheus_source import (
    PrometheusProbe,
    Reading,
    of_answer,
    of_container,
    of_machine,
    of_text,
    readings,
)
from harness.stack.external.exporters import Source, parse

CPU, CORES = "container_cpu_usage_seconds_total", "flashcrowd_cpu_allotment_cores"

NODE = """
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 1000.5
node_cpu_seconds_total{cpu="0",mode="iowait"} 20
node_cpu_seconds_total{cpu="0",mode="user"} 30.25
node_cpu_seconds_total{cpu="0",mode="system"} 10
node_cpu_seconds_total{cpu="0",mode="steal"} 3
node_cpu_seconds_total{cpu="1",mode="idle"} 900
node_cpu_seconds_total{cpu="1",mode="user"} 40
node_cpu_seconds_total{cpu="1",mode="softirq"} 0.5
# TYPE node_cpu_guest_seconds_total counter
node_cpu_guest_seconds_total{cpu="0",mode="user"} 5
# TYPE node_memory_MemTotal_bytes gauge
node_memory_MemTotal_bytes 1.6e+10
"""

CADVISOR = """
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{cpu="total",id="/docker/1",image="postgres:18",name="postgres"} 81.5 1700000001500
container_cpu_usage_seconds_total{cpu="total",id="/docker/2",image="redis",name="cache"} 7 1700000001400
container_cpu_usage_seconds_total{cpu="total",id="/",image="",name=""} 700 1700000001400
# TYPE container_spec_cpu_period gauge
container_spec_cpu_period{id="/docker/1",image="postgres:18",name="postgres"} 100000 1700000001500
container_spec_cpu_quota{id="/docker/1",image="postgres:18",name="postgres"} 150000 1700000001500
container_memory_working_set_bytes{id="/docker/1",image="postgres:18",name="postgres"} 1.5e+08 1700000001500
container_spec_memory_limit_bytes{id="/docker/1",image="postgres:18",name="postgres"} 0 1700000001500
container_cpu_cfs_throttled_seconds_total{id="/docker/1",image="postgres:18",name="postgres"} 4.5 1700000001500
machine_cpu_cores{machine_id=""} 8
"""


def source(url: str = "http://db/metrics", **labels: str) -> Source:
    """Of the server ``postgres``."""
    return Source(server="postgres", url=url, labels=labels)


def test_a_machines_work_is_all_but_its_idle_modes() -> None:
    assert of_machine(of_text(NODE), source()) == {CPU: (30.25 + 10 + 40 + 0.5, None), CORES: (2.0, None)}


def test_of_several_machines_the_labels_choose() -> None:
    readings = [
        Reading("node_cpu_seconds_total", {"cpu": "0", "mode": "user", "instance": name}, value, 5.0)
        for name, value in (("a", 1.0), ("b", 2.0))
    ]
    assert of_machine(readings, source()) == {}
    assert of_machine(readings, source(instance="b")) == {CPU: (2.0, 5.0), CORES: (1.0, 5.0)}


def test_a_container_is_found_by_the_servers_name() -> None:
    assert of_container(of_text(CADVISOR), source()) == {
        CPU: (81.5, 1700000001.5),
        CORES: (1.5, 1700000001.5),
        "container_memory_working_set_bytes": (1.5e8, 1700000001.5),
        "container_cpu_cfs_throttled_seconds_total": (4.5, 1700000001.5),
    }


def test_or_by_labels_and_without_a_quota_it_has_the_machines_cores() -> None:
    found = of_container(of_text(CADVISOR), source(image="redis"))
    assert found == {CPU: (7.0, 1700000001.4), CORES: (8.0, None)}


def test_a_container_that_is_not_there_is_not_measured() -> None:
    assert of_container(of_text(CADVISOR), source(name="mysql")) == {}


def test_older_cadvisors_tell_each_core() -> None:
    text = "".join(f'{CPU}{{cpu="cpu0{core}",id="/1",name="postgres"}} {core + 1}\n' for core in range(3))
    assert of_container(of_text(text), source()) == {CPU: (6.0, None)}


def test_a_prometheus_answers_with_the_time_of_its_last_scrape() -> None:
    series = {"metric": {"__name__": CPU, "name": "postgres", "id": "/1"}, "values": [[100.0, "5"], [115.25, "6.5"]]}
    answer = {"status": "success", "data": {"resultType": "matrix", "result": [series]}}
    assert of_answer(json.dumps(answer)) == [Reading(CPU, {"name": "postgres", "id": "/1"}, 6.5, 115.25)]


@pytest.mark.parametrize(
    "text", ["<html>", '{"status": "error", "error": "parse error"}', '{"status": "success"}', "[]"]
)
def test_what_is_no_prometheus(text: str) -> None:
    with pytest.raises(Unmeasured):
        of_answer(text)


def test_what_is_no_exporter() -> None:
    assert of_text("<html>no such page</html>") == []
    with pytest.raises(Unmeasured):
        of_text(f"{CPU}{{name= 5\n")


async def test_what_was_seen_before_is_not_written_again() -> None:
    origin = Origin.after(0.0)
    now_s = time.time()
    answers: list[Sequence[Reading]] = [
        [Reading(CPU, {"name": "postgres"}, 5.0, now_s - 3)],
        [Reading(CPU, {"name": "postgres"}, 5.0, now_s - 3)],
        [Reading(CPU, {"name": "postgres"}, 6.0, now_s - 1)],
        [Reading(CPU, {"name": "postgres"}, 6.0, now_s - 500)],
        [],
    ]
    probe = PrometheusProbe(source(), origin, fetch=lambda _: answers.pop(0))
    (first,) = await probe.sample(0.0)
    assert (first.value, first.labels) == (5.0, {"name": "postgres"})
    assert first.at_s == pytest.approx(-3, abs=0.5)
    assert await probe.sample(1.0) == []
    (third,) = await probe.sample(2.0)
    assert third.at_s - first.at_s == pytest.approx(2)
    with pytest.raises(Unmeasured, match="minutes away"):
        await probe.sample(3.0)
    with pytest.raises(Unmeasured, match="neither"):
        await probe.sample(4.0)


class Asked(BaseHTTPRequestHandler):
    """Answers as a Prometheus server does, with what it was asked as the only label."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)["query"][0]
        metric = {"__name__": CPU, "name": "postgres", "path": urlsplit(self.path).path, "query": query}
        metric["login"] = self.headers.get("Authorization", "")
        series = {"metric": metric, "values": [[time.time(), "5"]]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "success", "data": {"result": [series]}}).encode())

    def log_message(self, *_: object) -> None:
        pass


def test_a_prometheus_is_asked_for_raw_samples_with_the_labels() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            (one,) = parse([f"http://me:secret@127.0.0.1:{server.server_port}/base/#instance=db:9100"], ["postgres"])
            (reading,) = readings(one)
        finally:
            server.shutdown()
            thread.join()
    assert reading.labels["path"] == "/base/api/v1/query"
    assert reading.labels["login"] == one.login
    query = reading.labels["query"]
    assert query.startswith('{__name__=~"container_cpu_usage_seconds_total|')
    assert query.endswith('|node_cpu_seconds_total",instance="db:9100"}[120s]')
    with pytest.raises(Unmeasured, match="does not answer"):
        readings(one)
