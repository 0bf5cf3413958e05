"""What Prometheus is told: exporters' names, and requests as they come."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.clock import Origin
from harness.errors import UsageError
from harness.model import Sample
from harness.record import format as layout
from harness.record.row import ROW
from harness.record.writer import write_json
from harness.report.prometheus import Exposition


@dataclass(frozen=True)
class FakeTick:
    samples: list[Sample]


@dataclass
class FakeTicks:
    latest: Mapping[str, FakeTick] = field(default_factory=dict)


def told(exposition: Exposition) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All samples of a scrape, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text(exposition))
        for sample in family.samples
    }


def text(exposition: Exposition) -> str:
    with build_opener(ProxyHandler({})).open(f"http://{exposition.host}:{exposition.port}/metrics") as answer:
        return str(answer.read().decode())


def finish(folder: Path, *response_ns: int, outcome: int = 0) -> None:
    rows = np.zeros(len(response_ns), dtype=ROW)
    rows["intended"] = 5_000_000_000
    rows["finished"] = rows["intended"] + np.array(response_ns)
    rows["outcome"] = outcome
    with (folder / "requests-0.rows").open("ab") as file:
        file.write(rows.tobytes())


@pytest.fixture
def ticks() -> FakeTicks:
    return FakeTicks()


@pytest.fixture
def exposition(tmp_path: Path, ticks: FakeTicks) -> Iterator[Exposition]:
    codes = [("operation", 0, "craft"), ("outcome", 0, "ok"), ("outcome", 1, "40P01")]
    (tmp_path / "requests-0.jsonl").write_text(
        "".join(json.dumps({"kind": kind, "code": code, "name": name}) + "\n" for kind, code, name in codes)
    )
    with Exposition(tmp_path, ticks, port=0) as serving:
        yield serving


def test_exporters_names_survive(exposition: Exposition, ticks: FakeTicks) -> None:
    labels = {"state": "active", "wait_event": 'a "b"\\\n'}
    ticks.latest = {
        "activity": FakeTick([Sample(at_s=1.0, metric="pg_stat_activity_count", value=3.0, labels=labels)]),
        "database": FakeTick([Sample(at_s=1.0, metric="pg_stat_database_deadlocks", value=7.0)]),
        "process": FakeTick([Sample(at_s=1.0, metric="container_cpu_usage_seconds_total", value=1.5)]),
    }
    found = told(exposition)
    assert found["pg_stat_activity_count", tuple(sorted(labels.items()))] == 3.0
    assert found["pg_stat_database_deadlocks", ()] == 7.0
    assert found["container_cpu_usage_seconds_total", ()] == 1.5
    shown = text(exposition)
    assert "# TYPE pg_stat_activity_count gauge" in shown
    assert "# TYPE pg_stat_database_deadlocks untyped" in shown
    assert "# TYPE container_cpu_usage_seconds_total counter" in shown


def test_a_probe_in_a_gap_is_absent(exposition: Exposition, ticks: FakeTicks) -> None:
    ticks.latest = {"activity": FakeTick([Sample(at_s=1.0, metric="pg_settings_max_connections", value=70.0)])}
    assert ("pg_settings_max_connections", ()) in told(exposition)
    ticks.latest = {}
    assert ("pg_settings_max_connections", ()) not in told(exposition)


def test_requests_are_counted_as_they_come(exposition: Exposition, tmp_path: Path) -> None:
    ok = ("flashcrowd_requests_total", (("operation", "craft"), ("outcome", "ok")))
    failed = ("flashcrowd_requests_total", (("operation", "craft"), ("outcome", "40P01")))
    assert ok not in told(exposition)
    finish(tmp_path, 1_000_000, 700_000)
    assert told(exposition)[ok] == 2
    finish(tmp_path, 3_000_000_000, outcome=1)
    finish(tmp_path, 100_000_000_000)
    found = told(exposition)
    assert (found[ok], found[failed]) == (3, 1)

    def below(bound: str) -> float:
        return found["flashcrowd_response_time_seconds_bucket", (("le", bound), ("operation", "craft"))]

    assert [below(bound) for bound in ("0.0005", "0.001", "2.5", "5.0", "60.0", "+Inf")] == [0, 2, 2, 3, 3, 4]
    craft = (("operation", "craft"),)
    assert found["flashcrowd_response_time_seconds_count", craft] == 4
    assert found["flashcrowd_response_time_seconds_sum", craft] == pytest.approx(103.0017)


def test_offered_follows_the_schedule_from_the_origin_on(exposition: Exposition, tmp_path: Path) -> None:
    offered = ("flashcrowd_offered_per_second", (("operation", "craft"),))
    meta = {"format": 1, "incident": "crafting-burst", "variant": {"name": "before"}, "origin": None}
    write_json(tmp_path / layout.RUN, meta)
    write_json(tmp_path / layout.OFFERED, {"step_s": 100.0, "operations": {"craft": [500, 800]}})
    assert offered not in told(exposition), "the traffic has not begun"
    for since_s, expected in ((50.0, 5.0), (150.0, 8.0), (950.0, 0.0)):
        origin = Origin.after(-since_s)
        write_json(
            tmp_path / layout.RUN,
            {**meta, "origin": {"monotonic_ns": origin.monotonic_ns, "wall_s": origin.wall_s}},
        )
        found = told(exposition)
        assert found[offered] == expected
    assert found["flashcrowd_run_info", (("incident", "crafting-burst"), ("variant", "before"))] == 1


def test_a_port_that_is_taken_is_said_so(tmp_path: Path, ticks: FakeTicks) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}: another process listens there; choose another port"):
            Exposition(tmp_path, ticks, port=port)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("127.0.0.1", 70000)])
def test_an_address_that_is_not_ours_is_said_so(tmp_path: Path, ticks: FakeTicks, host: str, port: int) -> None:
    with pytest.raises(UsageError, match=f"--metrics {host}:{port}"):
        Exposition(tmp_path, ticks, host=host, port=port)


def test_the_port_is_free_again_afterwards(tmp_path: Path, ticks: FakeTicks) -> None:
    with Exposition(tmp_path, ticks, port=0) as first:
        told(first)
    with Exposition(tmp_path, ticks, port=first.port) as second:
        assert second.port == first.port
    second.close()
