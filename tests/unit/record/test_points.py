"""A sampled series comes out of the probes' samples as its definition says, gaps left as gaps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import UsageError
from harness.model import Sample
from harness.record.points import points, points_by, split, was_reset
from harness.record.reader import Points
from harness.series import BY_NAME
from tests.unit.runs import RunBuilder


def pairs(got: Points) -> list[tuple[float, float]]:
    return [(round(float(at), 6), round(float(value), 6)) for at, value in zip(got.at_s, got.value, strict=True)]


def activity(at_s: float, **by_state: float) -> tuple[str, float, list[Sample]]:
    samples = [
        Sample(at_s=at_s, metric="pg_stat_activity_count", value=value, labels={"state": state.replace("_", " ")})
        for state, value in by_state.items()
    ]
    return "activity", at_s, [*samples, Sample(at_s=at_s, metric="pg_settings_max_connections", value=50.0)]


def test_gauge_is_summed_over_labels_and_a_group_without_anybody_is_zero(tmp_path: Path) -> None:
    run = RunBuilder(folder=tmp_path, samples=[activity(0, idle=3, active=2), activity(1, idle=5), activity(3)]).write()
    assert pairs(points(run, "postgres.connections")) == [(0, 5), (1, 5), (3, 0)]
    assert pairs(points(run, "postgres.active")) == [(0, 2), (1, 0), (3, 0)]


def test_label_choice_takes_either(tmp_path: Path) -> None:
    samples = [
        Sample(at_s=0, metric="pg_stat_activity_count", value=value, labels={"state": state})
        for state, value in (("idle in transaction", 2), ("idle in transaction (aborted)", 1), ("idle", 9))
    ]
    run = RunBuilder(folder=tmp_path, samples=[("activity", 0, samples)]).write()
    assert pairs(points(run, "postgres.idle_in_transaction")) == [(0, 3)]


def test_share_divides_by_the_latest_limit(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path, samples=[activity(0, idle=10), activity(1, idle=20)])
    assert pairs(points(builder.write(), "postgres.connections_used")) == [(0, 0.2), (1, 0.4)]


def test_rate_is_the_mean_between_ticks_even_over_a_missed_one(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path)
    builder.every_second("process", "container_cpu_usage_seconds_total", [5.0, 5.5, None, 6.5], name="postgres")
    builder.every_second("process", "flashcrowd_cpu_allotment_cores", [2.0], name="postgres")
    assert pairs(points(builder.write(), "postgres.cpu")) == [(1, 0.25), (3, 0.25)]


def test_rate_has_no_point_where_the_counter_fell(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path)
    builder.every_second("database", "pg_stat_database_xact_commit", [10, 30, 5, 25])
    run = builder.write()
    assert pairs(points(run, "postgres.commits")) == [(1, 20), (3, 20)]
    assert was_reset(run, "postgres.commits")


def test_total_is_the_increase_since_the_first_tick(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path).every_second("database", "pg_stat_database_deadlocks", [7, 7, 9, 12])
    run = builder.write()
    assert pairs(points(run, "deadlocks")) == [(0, 0), (1, 0), (2, 2), (3, 5)]
    assert not was_reset(run, "deadlocks")


def test_total_after_a_restart_is_the_least_that_it_can_be(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path).every_second("database", "pg_stat_database_deadlocks", [7, 9, 1])
    run = builder.write()
    assert points(run, "deadlocks").value[-1] == 3
    assert was_reset(run, "deadlocks")


def test_busiest_worker_counts(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path)
    builder.every_second("worker-0", "flashcrowd_worker_cpu_seconds_total", [0, 0.2, 0.4], worker="0")
    builder.every_second("worker-1", "flashcrowd_worker_cpu_seconds_total", [0, 0.1, 1.0], worker="1")
    run = builder.write()
    assert pairs(points(run, "generator.cpu")) == [(1, 0.2), (2, 0.9)]
    assert [labels for labels, _ in split(run, "generator.cpu")] == [{"worker": "0"}, {"worker": "1"}]


def test_workers_that_tick_a_little_apart_are_one_instant_and_a_missing_one_is_a_gap(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path)
    metric = "flashcrowd_worker_in_flight"
    builder.ticks("worker-0", metric, {0.001: 1, 1.002: 2, 2.001: 3, 3.0: 4}, {"worker": "0"})
    builder.ticks("worker-1", metric, {0.003: 10, 1.001: 20, 3.002: 40, 4.001: 50}, {"worker": "1"})
    # 2 s lacks a worker that comes again: a gap. At 4 s worker 0 has ended, the other goes on.
    assert pairs(points(builder.write(), "generator.in_flight")) == [(0, 11), (1, 22), (3, 44), (4, 50)]


@pytest.mark.parametrize("name", ["postgres.memory", "deadlocks", "postgres.cpu", "postgres.connections_used"])
def test_nothing_sampled_is_no_points(tmp_path: Path, name: str) -> None:
    got = points(RunBuilder(folder=tmp_path).write(), name)
    assert got.at_s.dtype == np.float64
    assert len(got.at_s) == len(got.value) == 0


def test_unknown_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"postgres\.cpus"):
        points(RunBuilder(folder=tmp_path).write(), "postgres.cpus")


CPU, CORES = "container_cpu_usage_seconds_total", "flashcrowd_cpu_allotment_cores"
PERIODS, THROTTLED = "container_cpu_cfs_periods_total", "container_cpu_cfs_throttled_periods_total"


def test_the_worst_of_several_servers_is_a_share_of_its_own_cores(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path / "run")
    builder.every_second("usage", CPU, [0.0, 1.0, 2.0], name="mongo-1")  # half of two cores
    builder.every_second("usage", CORES, [2.0, 2.0, 2.0], name="mongo-1")
    builder.every_second("usage", CPU, [9.0, 9.9, 10.2], name="mongo-2")  # 90 %, then 30 % of one
    builder.every_second("usage", CORES, [1.0, 1.0, 1.0], name="mongo-2")
    builder.every_second("usage", CPU, [0.0, 5.0, 10.0], name="postgres")
    builder.every_second("usage", CORES, [1.0, 1.0, 1.0], name="postgres")
    found = points(builder.write(), "mongo.cpu")
    assert found.at_s.tolist() == [1.0, 2.0]
    assert found.value.tolist() == pytest.approx([0.9, 0.5])


def test_a_server_that_is_gone_leaves_the_worst_of_the_others(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path / "run")
    for name, values in (("postgres-replica-1", [0.0, 0.2, 0.4, 0.6]), ("postgres-replica-2", [0.0, 0.9, None, None])):
        builder.every_second("usage", CPU, values, name=name)
        builder.every_second("usage", CORES, [1.0], name=name)
    assert points(builder.write(), "replica.cpu").value.tolist() == pytest.approx([0.9, 0.2, 0.2])


def test_a_share_of_two_counters(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path / "run")
    builder.every_second("usage", PERIODS, [100.0, 110.0, 120.0, 120.0, None, 140.0], name="postgres")
    builder.every_second("usage", THROTTLED, [7.0, 7.0, 15.0, 15.0, None, 20.0], name="postgres")
    found = points(builder.write(), "postgres.throttled")
    assert found.at_s.tolist() == [1.0, 2.0, 3.0, 5.0]
    assert found.value.tolist() == [0.0, 0.8, 0.0, 0.25]


def test_without_a_quota_there_is_no_share_of_its_periods(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path / "run")
    builder.every_second("usage", PERIODS, [0.0, 0.0, 0.0], name="postgres")
    builder.every_second("usage", THROTTLED, [0.0, 0.0, 0.0], name="postgres")
    assert not len(points(builder.write(), "postgres.throttled").at_s)


def test_members_that_are_asked_one_by_one_are_compared_tick_by_tick(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path / "run")
    for member, late_s, values in (("mongo-1", 0.002, [1.0, 9.0, 1.0]), ("mongo-2", 0.007, [5.0, 5.0, 5.0])):
        builder.ticks(
            member,
            "flashcrowd_mongodb_client_connections",
            {second + late_s: value for second, value in enumerate(values)},
            {"member": member},
        )
    found = points(builder.write(), "mongo.connections")
    assert found.at_s.tolist() == [0.0, 1.0, 2.0]
    assert found.value.tolist() == [5.0, 9.0, 5.0]


def test_totals_of_members_add_up_though_one_of_them_is_gone(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path / "run")
    builder.every_second("mongo-log", "flashcrowd_log_slow_operations_total", [0.0, 2.0, None, None], member="mongo-1")
    builder.every_second("mongo-log", "flashcrowd_log_slow_operations_total", [5.0, 5.0, 6.0, 9.0], member="mongo-2")
    assert points(builder.write(), "mongo.slow_operations").value.tolist() == [0.0, 2.0, 3.0, 6.0]


def test_a_series_apart_by_server_is_divided_by_each_ones_own_cores(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path / "run")
    for name, cores, gained in (("postgres", 1.0, 0.5), ("mongo-1", 2.0, 0.5)):
        builder.every_second("usage", CPU, [0.0, gained, 2 * gained], name=name)
        builder.every_second("usage", CORES, [cores], name=name)
    found = points_by(builder.write(), replace(BY_NAME["postgres.cpu"], labels={"name": "*"}), "name")
    assert {name: each.value.tolist() for name, each in found.items()} == {
        "mongo-1": [0.25, 0.25],
        "postgres": [0.5, 0.5],
    }
