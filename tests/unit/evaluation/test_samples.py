"""Criteria of sampled series: gaps and missing samples leave unknown what they might have shown, and nothing else."""

from pathlib import Path

import pytest

from harness.criteria import parse
from harness.evaluation import evaluate
from harness.model import Finding
from harness.record.reader import Run
from tests.unit.runs import RunBuilder, steady


def judged(run: Run, text: str) -> Finding:
    phases = [phase["name"] for phase in run.meta["phases"]]
    return evaluate(run, parse(text, operations=["craft"], phases=phases, where="w", field="f"), "a name")


def blocked(folder: Path, *values: float | None) -> Run:
    """A run whose number of blocked sessions was sampled at 0 s, 1 s, … ; None is a missed tick."""
    builder = RunBuilder(folder=folder, requests=steady())
    return builder.every_second("blocking", "flashcrowd_blocked_sessions", values).write()


def cpu(folder: Path, *per_s: float | None) -> Run:
    """A run whose server used so much CPU in each second; None is a missed tick at that second's end."""
    builder = RunBuilder(folder=folder, requests=steady())
    total, counter = 100.0, [100.0]
    values: list[float | None] = list(counter)
    for used in per_s:
        total += used or 0.0
        values.append(None if used is None else total)
    builder.every_second("process", "container_cpu_usage_seconds_total", values, name="postgres")
    builder.every_second("process", "flashcrowd_cpu_allotment_cores", [1.0], name="postgres")
    return builder.write()


@pytest.mark.parametrize(
    ("text", "held", "value", "first_s", "worst", "count"),
    [
        ("max(postgres.blocked) >= 20", True, 29.0, 20.0, 29.0, 10),
        ("max(postgres.blocked) > 29", False, 29.0, None, 29.0, 0),
        ("min(postgres.blocked) < 1", True, 0.0, 0.0, 0.0, 1),
        ("mean(postgres.blocked) > 14", True, 14.5, 15.0, 29.0, 15),
        ("last(postgres.blocked) == 29", True, 29.0, 29.0, 29.0, 1),
        ("p90(postgres.blocked) < 27", True, 26.0, 0.0, 29.0, 27),
        ("max(postgres.blocked) < 10 during calm", True, 9.0, 0.0, 9.0, 10),
        ("min(postgres.blocked) >= 10 during burst", True, 10.0, 10.0, 10.0, 20),
    ],
)
def test_statistics(
    tmp_path: Path, text: str, held: bool, value: float, first_s: float | None, worst: float, count: int
) -> None:
    got = judged(blocked(tmp_path, *range(30)), text)
    assert (got.held, got.value, got.first_s, got.worst, got.count) == (held, value, first_s, worst, count)


def test_warm_up_and_what_comes_after_the_drain_do_not_count(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path, requests=steady())
    values: dict[float, float | None] = {float(at_s): 1.0 for at_s in range(30)}
    builder.ticks("blocking", "flashcrowd_blocked_sessions", {-2.0: 99.0, **values, 41.0: 99.0})
    assert judged(builder.write(), "max(postgres.blocked) < 2").held is True


HALF = [1.0] * 10 + [None] * 20


@pytest.mark.parametrize(
    ("text", "held"),
    [
        pytest.param("max(postgres.blocked) >= 1", True, id="a maximum that was reached is known"),
        pytest.param("max(postgres.blocked) < 1", False, id="and so is that it was"),
        pytest.param("max(postgres.blocked) >= 2", None, id="one that was not may have been reached unseen"),
        pytest.param("max(postgres.blocked) < 2", None, id="nor is it known to have stayed below"),
        pytest.param("min(postgres.blocked) <= 1", True, id="a minimum that was reached is known"),
        pytest.param("min(postgres.blocked) > 0", None, id="one that was not may have been reached unseen below"),
        pytest.param("mean(postgres.blocked) < 2", None, id="a mean of a third is no mean"),
        pytest.param("last(postgres.blocked) < 2", None, id="the last is long ago"),
        pytest.param("postgres.blocked >= 1 for 5s", True, id="a stretch that was seen is known"),
        pytest.param("postgres.blocked >= 2 for 5s", None, id="one that was not seen may have been"),
    ],
)
def test_samples_that_are_missing(tmp_path: Path, text: str, held: bool | None) -> None:
    got = judged(blocked(tmp_path, *HALF), text)
    assert got.held is held
    assert (got.why_unknown is None) is (held is not None)


@pytest.mark.parametrize("text", ["max(postgres.blocked) < 2", "postgres.blocked < 2 for 5s", "deadlocks == 0"])
def test_nothing_sampled_is_unknown(tmp_path: Path, text: str) -> None:
    got = judged(blocked(tmp_path), text)
    assert (got.held, got.value) == (None, None)
    assert "was not sampled" in str(got.why_unknown)


def test_a_few_missed_ticks_do_no_harm(tmp_path: Path) -> None:
    values: list[float | None] = [1.0] * 30
    values[4] = values[20] = None
    assert judged(blocked(tmp_path, *values), "max(postgres.blocked) < 2").held is True


def test_stretch_of_a_rate(tmp_path: Path) -> None:
    # Seconds 5 to 15 are full: ten points, at 6 s to 15 s, that are about ten seconds.
    run = cpu(tmp_path, *[0.2] * 5, *[0.97, 0.99] * 5, *[0.2] * 15)
    got = judged(run, "postgres.cpu >= 95% for 10s")
    assert (got.held, got.count) == (True, 10)
    assert got.first_s == pytest.approx(5.0)
    assert got.value == pytest.approx(0.97)
    assert got.worst == pytest.approx(0.99)


def test_stretch_a_second_too_short(tmp_path: Path) -> None:
    got = judged(cpu(tmp_path, *[0.2] * 5, *[0.98] * 9, *[0.2] * 16), "postgres.cpu >= 95% for 10s")
    assert got.held is False
    assert got.value == pytest.approx(0.2)  # the best that was sustained for ten seconds
    assert got.first_s == pytest.approx(6.0)  # when the comparison was first true
    assert got.count == 9


def test_one_sample_below_ends_a_stretch(tmp_path: Path) -> None:
    got = judged(cpu(tmp_path, *[0.98] * 9, 0.94, *[0.98] * 9, *[0.2] * 11), "postgres.cpu >= 95% for 10s")
    assert got.held is False
    assert got.value == pytest.approx(0.94)


def test_one_missed_tick_does_not_end_a_stretch_and_two_do(tmp_path: Path) -> None:
    one, two = [0.98] * 12, [0.98] * 12
    text = "postgres.cpu >= 95% for 10s"
    # The second after a missed tick has the CPU of both.
    values: list[float | None] = [*one[:6], None, 1.96, *one[8:], *[0.1] * 18]
    assert judged(cpu(tmp_path / "one", *values), text).held is True
    values = [*two[:5], None, None, 2.94, *two[8:], *[0.1] * 18]
    assert judged(cpu(tmp_path / "two", *values), text).held is False


def test_gauge_needs_both_ends_of_a_stretch(tmp_path: Path) -> None:
    text = "postgres.blocked >= 5 for 10s"
    assert judged(blocked(tmp_path / "eleven", *[0] * 5, *[5] * 11, *[0] * 14), text).held is True
    assert judged(blocked(tmp_path / "ten", *[0] * 5, *[5] * 10, *[0] * 15), text).held is False


def test_ticks_that_come_a_little_late_do_not_shorten_a_stretch(tmp_path: Path) -> None:
    builder = RunBuilder(folder=tmp_path, requests=steady())
    values: dict[float, float | None] = {
        at_s + (0.004 if at_s == 5 else 0.001): float(5 <= at_s <= 15) for at_s in range(30)
    }
    builder.ticks("blocking", "flashcrowd_blocked_sessions", values)
    assert judged(builder.write(), "postgres.blocked >= 1 for 10s").held is True


def test_a_stretch_downwards_has_the_lowest_level_that_was_kept(tmp_path: Path) -> None:
    got = judged(blocked(tmp_path, *[9] * 10, *[1, 3] * 6, *[9] * 8), "postgres.blocked < 5 for 10s")
    assert (got.held, got.value, got.first_s) == (True, 3.0, 10.0)


def test_a_window_shorter_than_the_stretch_is_unknown(tmp_path: Path) -> None:
    got = judged(blocked(tmp_path, *[9] * 30), "postgres.blocked > 5 for 15s during calm")
    assert got.held is None
    assert "no 15 s without a gap" in str(got.why_unknown)


def deadlocks(folder: Path, values: dict[float, float | None]) -> Run:
    builder = RunBuilder(folder=folder, requests=steady())
    return builder.ticks("database", "pg_stat_database_deadlocks", values).write()


def counted(*steps: tuple[float, float], begin: int = -1, end: int = 42) -> dict[float, float | None]:
    """The counter at every second: 3 before the run, and so many more from each time on."""
    return {float(at): 3.0 + sum(more for when, more in steps if at >= when) for at in range(begin, end)}


def test_total_counts_what_the_server_told_after_the_traffic_too(tmp_path: Path) -> None:
    got = judged(deadlocks(tmp_path, counted((12, 2), (41, 5))), "deadlocks == 7")
    assert (got.held, got.value, got.first_s, got.count) == (True, 7.0, 12.0, 7)


def test_total_of_a_phase(tmp_path: Path) -> None:
    run = deadlocks(tmp_path, counted((4, 1), (12, 2), (41, 5)))
    assert judged(run, "deadlocks == 1 during calm").held is True
    assert judged(run, "deadlocks == 2 during burst").held is True


@pytest.mark.parametrize(
    ("text", "held"),
    [("deadlocks == 0", False), ("deadlocks >= 2", True), ("deadlocks < 2", False), ("deadlocks != 1", True),
     ("deadlocks == 2", None), ("deadlocks < 3", None), ("deadlocks >= 3", None)],
)  # fmt: skip
@pytest.mark.parametrize("why", ["reset", "first", "last"])
def test_total_of_which_a_part_is_not_known_is_a_lower_bound(
    tmp_path: Path, why: str, text: str, held: bool | None
) -> None:
    values = {
        "reset": counted((12, 1)) | {20.0 + at: 1.0 for at in range(22)},
        "first": counted((12, 2), begin=8),
        "last": counted((12, 2), end=20),
    }[why]
    got = judged(deadlocks(tmp_path, values), text)
    assert got.value == 2.0
    assert got.held is held
    assert (got.why_unknown is None) is (held is not None)


def test_one_sample_of_a_counter_tells_no_increase(tmp_path: Path) -> None:
    assert judged(deadlocks(tmp_path, {0.0: 3.0}), "deadlocks == 0").held is None
