"""Which charts a report has, and which lines: those of what the run's servers are and of what was measured of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.record import format as layout
from harness.record.reader import Run
from harness.report.html.page import render
from harness.verdict import combine, judge
from tests.unit.runs import RunBuilder, steady

CPU, CORES = "container_cpu_usage_seconds_total", "flashcrowd_cpu_allotment_cores"
POSTGRES = {"connections", "blocked", "deadlocks"}
MONGO = {"replication", "mongo_ops", "mongo_work", "mongo_tickets", "mongo_state"}


def figures(run: Run) -> dict[str, Any]:
    page = render(combine("crafting-burst", [judge(run)]), [run])
    found = re.search(r'<script id="figures" type="application/json">(.*?)</script>', page, re.S)
    assert found is not None
    return dict(json.loads(found[1]))


def charts(run: Run) -> dict[str, list[str]]:
    """Keys of each chart's lines."""
    return {chart["id"]: [line[0] for line in chart["lines"]] for chart in figures(run)["charts"]}


@pytest.fixture
def builder(tmp_path: Path) -> RunBuilder:
    return RunBuilder(folder=tmp_path / "before", requests=steady(seconds=5))


def _busy(builder: RunBuilder, *names: str) -> None:
    for name in names:
        builder.every_second("usage", CPU, [0.0, 0.5, 1.0], name=name)
        builder.every_second("usage", CORES, [1.0], name=name)


def test_every_server_has_a_line_of_its_own(builder: RunBuilder) -> None:
    _busy(builder, "postgres-replica-1", "postgres")
    found = charts(builder.write())
    beside = ["generator.cpu", "harness.cpu", "server.core.others", "server.core.steal"]
    assert found["cpu"] == ["postgres", "postgres-replica-1", *beside]
    assert set(found) >= POSTGRES
    assert not set(found) & (MONGO | {"throttled"}), "nothing of it was measured"


def test_a_run_without_postgresql_shows_none_of_its_charts(builder: RunBuilder) -> None:
    builder.meta["stack"] = {"provider": "embedded", "mongo": {"version": "6.0.5", "members": []}}
    _busy(builder, "mongo-1", "mongo-2")
    for member, values in (("mongo-1", [3.0, 4.0]), ("mongo-2", [1.0, 9.0])):
        builder.every_second(member, "flashcrowd_mongodb_client_connections", values, member=member)
        builder.every_second(member, "flashcrowd_mongodb_tickets_out", [5.0, 5.0], member=member, txn_rw_type="read")
        builder.every_second(member, "flashcrowd_mongodb_tickets_limit", [10.0], member=member, txn_rw_type="read")
        for kind in ("insert", "update"):
            builder.every_second(member, "mongodb_ss_opcounters", [0.0, 5.0], member=member, legacy_op_type=kind)
    builder.every_second(
        "mongo-replication", "mongodb_mongod_replset_member_replication_lag", [0.0, 2.5], member="mongo-2"
    )
    builder.every_second("mongo-replication", "flashcrowd_mongodb_members_down", [0.0, 1.0])
    run = builder.write()
    found, drawn = charts(run), figures(run)["lines"][0]
    assert not set(found) & POSTGRES
    assert set(found) >= MONGO
    assert found["cpu"][:2] == ["mongo-1", "mongo-2"]
    assert drawn["replication"][""] == {"mongo-2": [[0, 1], [0, 2.5]]}
    assert drawn["mongo_ops"][""]["mongo-1"] == [[1], [10]]
    assert drawn["mongo_work"][""]["mongo.connections"] == [[0, 1], [3, 9]]
    assert drawn["mongo_tickets"][""]["mongo.tickets_used"][1] == [0.5, 0.5]
    assert drawn["mongo_state"][""]["mongo.down"][1] == [0, 1]


def test_what_others_used_of_a_servers_cores_is_drawn_with_its_cpu(builder: RunBuilder) -> None:
    for name, values in (("postgres", [0.0, 0.5, 2.0]), ("mongo-1", [4.0, 5.0, 5.2])):
        held = {"name": name, "cores": "2,3"}
        builder.every_second("usage", "flashcrowd_core_others_seconds_total", values, **held)
        builder.every_second("usage", "flashcrowd_core_steal_seconds_total", [7.0, 7.0, 7.4], **held)
        builder.every_second("usage", "flashcrowd_held_cores", [2.0], **held)
    drawn = figures(builder.write())["lines"][0]["cpu"][""]
    assert drawn["server.core.others"] == [[1, 2], [0.5, 0.75]]
    assert drawn["server.core.steal"] == [[1, 2], [0, 0.2]]


def test_where_no_server_is_held_to_cores_there_is_no_line_of_others(builder: RunBuilder) -> None:
    _busy(builder, "postgres")
    assert set(figures(builder.write())["lines"][0]["cpu"][""]) == {"postgres"}


def test_throttling_is_shown_where_there_is_a_quota(builder: RunBuilder) -> None:
    builder.every_second("usage", "container_cpu_cfs_periods_total", [0.0, 10.0, 20.0], name="postgres")
    builder.every_second("usage", "container_cpu_cfs_throttled_periods_total", [0.0, 0.0, 7.0], name="postgres")
    run = builder.write()
    assert charts(run)["throttled"] == ["postgres"]
    assert figures(run)["lines"][0]["throttled"][""]["postgres"] == [[1, 2], [0, 0.7]]


def test_a_server_has_one_colour_in_all_charts(builder: RunBuilder) -> None:
    _busy(builder, "mongo-1", "mongo-2", "postgres")
    builder.every_second(
        "mongo-replication", "mongodb_mongod_replset_member_replication_lag", [0.0, 2.5], member="mongo-2"
    )
    colors = {
        chart["id"]: {line[0]: line[2] for line in chart["lines"]} for chart in figures(builder.write())["charts"]
    }
    assert colors["cpu"]["mongo-2"] == colors["replication"]["mongo-2"]
    assert (
        len({colors["cpu"][name] for name in ("mongo-1", "mongo-2", "postgres", "generator.cpu", "harness.cpu")}) == 5
    )


def test_slow_operations_are_listed_the_slowest_first(builder: RunBuilder) -> None:
    builder.every_second("mongo-log", "flashcrowd_log_slow_operations_total", [2.0, 40.0], member="mongo-1")
    run = builder.write()
    lines = [
        {"at_s": 1.5, "member": "mongo-1", "took_s": took_s, "namespace": "crowd.players", "plan": "COLLSCAN",
         "keys_examined": 0, "documents_examined": 600, "command": command}
        for took_s, command in ((0.2, "{}"), (1.25, '{"find": "<b>players"}'))
    ]  # fmt: skip
    (run.folder / layout.SLOW_OPERATIONS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = render(combine("crafting-burst", [judge(run)]), [run])
    section = page[page.index('<section id="slow"') : page.index("</section>", page.index('<section id="slow"'))]
    assert "38 logged as slow" in section
    assert section.index("1.25 s") < section.index("200 ms")
    assert "&lt;b&gt;players" in section
    assert "0 keys, 600 documents" in section


def test_without_a_log_of_mongodb_there_is_no_such_section(builder: RunBuilder) -> None:
    run = builder.write()
    assert 'id="slow"' not in render(combine("crafting-burst", [judge(run)]), [run])
