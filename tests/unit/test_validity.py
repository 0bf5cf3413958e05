"""A run is invalid where its generator, its record or its end failed it, and not where the database was slow."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.model import Event, Sample
from harness.record.reader import Run
from harness.record.row import ROW
from harness.validity import why_invalid
from tests.unit.runs import Request, RunBuilder, steady, worker_event


def quiet(folder: Path, requests: list[Request] | None = None) -> RunBuilder:
    """A run that nothing is wrong with: an idle server, workers and harness that have time."""
    builder = RunBuilder(folder=folder, requests=steady() if requests is None else requests).quiet_probes()
    return busy(builder, "0", [0.3] * 41)


def busy(builder: RunBuilder, worker: str, per_s: list[float]) -> RunBuilder:
    """Let a worker use so much CPU in each second."""
    total, counter = 0.0, [0.0]
    for used in per_s:
        total += used
        counter.append(total)
    return builder.every_second(f"worker-{worker}", "flashcrowd_worker_cpu_seconds_total", counter, worker=worker)


def only(run: Run) -> str:
    [reason] = why_invalid(run)
    return reason


def test_a_quiet_run_is_valid(tmp_path: Path) -> None:
    assert why_invalid(quiet(tmp_path).write()) == []


def test_a_slow_database_is_a_finding(tmp_path: Path) -> None:
    slow = [
        replace(one, response_s=20.0, pool_wait_s=None if at % 2 else 9.0, outcome=outcome)
        for at, one in enumerate(steady())
        for outcome in [("ok", "pool_timeout", "57014", "40P01", "cut_off", "time_limit", "connection_lost")[at % 7]]
    ]
    assert why_invalid(quiet(tmp_path, slow).write()) == []


def test_arrivals_begun_late(tmp_path: Path) -> None:
    late = [replace(one, lag_s=0.080 if at % 50 == 0 else 0.001, response_s=0.5) for at, one in enumerate(steady())]
    reason = only(quiet(tmp_path, late).write())
    assert "p99 80 ms after their time, where 50 ms are allowed" in reason
    assert "--workers" in reason


@pytest.mark.parametrize(
    ("busy_of_two", "second_worker", "crowded"),
    [
        pytest.param(1.98, 0.0, True, id="others had most of it"),
        pytest.param(1.5, 0.0, False, id="there was room"),
        pytest.param(1.98, 0.8, False, id="the load had most of it"),
        pytest.param(None, 0.0, False, id="not measured"),
    ],
)
def test_a_generator_that_others_kept_from_its_cores(
    tmp_path: Path, busy_of_two: float | None, second_worker: float, crowded: bool
) -> None:
    late = [replace(one, lag_s=0.080 if at % 50 == 0 else 0.001, response_s=0.5) for at, one in enumerate(steady())]
    builder = busy(quiet(tmp_path, late), "1", [second_worker] * 41)
    if busy_of_two is not None:
        held = {"name": "load", "cores": "0,1"}
        counter = [busy_of_two * second for second in range(41)]
        builder.every_second("usage", "flashcrowd_core_busy_seconds_total", counter, **held)
        builder.every_second("usage", "flashcrowd_held_cores", [2.0], **held)
    said = "the load's cores were 99% busy, 15% with workers and harness: free them of other processes, or use"
    reason = only(builder.write())
    assert (said in reason) is crowded
    assert ("--workers" in reason) is not crowded


def test_a_few_late_arrivals_are_allowed(tmp_path: Path) -> None:
    late = [replace(one, lag_s=0.9 if at == 300 else 0.049, response_s=1.0) for at, one in enumerate(steady())]
    assert why_invalid(quiet(tmp_path, late).write()) == []


def test_one_arrival_more_than_a_second_late(tmp_path: Path) -> None:
    late = [replace(one, lag_s=1.2 if at == 300 else 0.0, response_s=2.0) for at, one in enumerate(steady())]
    assert "began 1.2 s after its time, where 1 s is allowed" in only(quiet(tmp_path, late).write())


@pytest.mark.parametrize(
    ("per_s", "valid"),
    [
        pytest.param([0.3] * 10 + [0.97] * 3 + [0.3] * 27, False, id="three full seconds"),
        pytest.param([0.3] * 10 + [0.97] * 2 + [0.3] * 28, True, id="two"),
        pytest.param([0.3] * 10 + [0.97, 0.97, 0.5] * 5 + [0.3] * 15, True, id="three, but not in a row"),
        pytest.param([0.3] * 10 + [0.89] * 20 + [0.3] * 10, True, id="long, but below the limit"),
        pytest.param([0.3] * 31 + [0.97] * 9, True, id="after the traffic"),
    ],
)
def test_workers_cpu(tmp_path: Path, per_s: list[float], valid: bool) -> None:
    builder = RunBuilder(folder=tmp_path, requests=steady()).quiet_probes()
    reasons = why_invalid(busy(builder, "0", per_s).write())
    assert (reasons == []) is valid
    if not valid:
        assert "load worker 0 used 97% of a core from 10 to 13 s, where 90% is allowed for less than 3 s" in reasons[0]


def test_two_workers_are_not_added_up(tmp_path: Path) -> None:
    requests = [replace(one, worker=at % 2) for at, one in enumerate(steady())]
    builder = RunBuilder(folder=tmp_path, requests=requests, workers=2).quiet_probes()
    busy(builder, "0", [0.6] * 41)
    assert why_invalid(busy(builder, "1", [0.6] * 41).write()) == []


@pytest.mark.parametrize(
    ("outcome", "advice"),
    [("out_of_descriptors", "ulimit -n"), ("out_of_ports", "local ports"), ("over_cap", "--workers")],
)
def test_limits_of_the_generator(tmp_path: Path, outcome: str, advice: str) -> None:
    requests = [replace(one, outcome=outcome if at == 40 else "ok") for at, one in enumerate(steady())]
    reason = only(quiet(tmp_path, requests).write())
    assert f"1 request ended as {outcome}, the first at 2.0 s" in reason
    assert advice in reason


def test_cap_reached(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    builder.events = [worker_event(0, "done", scheduled=600, begun=600, cap_reached=True)]
    assert "load worker 0 reached its cap" in only(builder.write())


def test_fewer_arrivals_than_scheduled(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    builder.scheduled = {"craft": 620, "view_recipe": 0}
    assert "(craft 600 of 620; all must be)" in only(builder.write())


def test_a_retry_is_no_arrival(tmp_path: Path) -> None:
    requests = steady()
    again = [replace(one, attempt=2, arrival=at) for at, one in enumerate(requests[:100])]
    builder = quiet(tmp_path, [*requests[:-50], *again])
    builder.scheduled = {"craft": 600}
    assert "craft 550 of 600" in only(builder.write())


def test_closed_model_has_no_schedule(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    builder.open_model, builder.scheduled = False, {"craft": 10**6}
    assert why_invalid(builder.write()) == []


def test_rows_that_the_record_lost(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    builder.events = [worker_event(0, "done", scheduled=600, begun=605, cap_reached=False)]
    assert "began 605 arrivals and recorded 600" in only(builder.write())


def test_worker_died(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    builder.events = [replace(worker_event(0, "died", at_s=12.0), text="killed by signal 9")]
    assert "load worker 0 died at 12.0 s (killed by signal 9)" in only(builder.write())


def test_worker_that_never_said_done(tmp_path: Path) -> None:
    requests = [replace(one, worker=at % 2) for at, one in enumerate(steady())]
    builder = RunBuilder(folder=tmp_path, requests=requests, workers=2).quiet_probes()
    builder.events = [worker_event(0, "done", begun=300), worker_event(1, "ready")]
    assert "load worker 1 of 2 never said" in only(builder.write())


def test_server_died(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    death = Event(at_s=17.5, kind="server", text="signal 9", fields={"state": "died"})
    builder.events = [death, worker_event(0, "done", begun=600)]
    assert "a server of the stack died at 17.5 s (signal 9)" in only(builder.write())


@pytest.mark.parametrize(
    ("finished", "words"),
    [
        (None, "the harness was killed before the run ended"),
        ({"status": "interrupted", "at_s": 12.0, "why": "Ctrl-C"}, "interrupted (Ctrl-C)"),
        ({"status": "broken", "at_s": 12.0, "why": "no space left"}, "the run broke (no space left)"),
    ],
)
def test_a_run_that_did_not_end_well(tmp_path: Path, finished: dict[str, object] | None, words: str) -> None:
    builder = quiet(tmp_path)
    builder.finished, builder.scheduled = (
        finished,
        {"craft": 1000},
    )  # arrivals that did not take place are not dropped ones
    assert words in only(builder.write())


def test_traffic_that_never_began(tmp_path: Path) -> None:
    builder = RunBuilder(
        folder=tmp_path, meta={"origin": None}, finished={"status": "broken", "at_s": None, "why": "no worker"}
    )
    assert [reason.split(":")[0] for reason in why_invalid(builder.write())] == [
        "the run broke (no worker)",
        "the traffic never began",
    ]


def test_probe_that_missed_too_much(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    values: list[float | None] = [1.0] * 10 + [None] * 9 + [1.0] * 20
    builder.every_second("activity", "pg_stat_activity_count", values)
    builder.events = [
        worker_event(0, "done", begun=600),
        Event(
            at_s=10,
            kind="gap",
            text="gap",
            fields={"probe": "activity", "reason": "no answer within 1 s", "edge": "begin"},
        ),
    ]
    assert (
        "probe activity measured nothing during 33% of the traffic, where 20% is allowed (no answer within 1 s)"
        in only(builder.write())
    )


def test_probe_that_missed_a_little(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    builder.every_second("activity", "pg_stat_activity_count", [1.0] * 10 + [None] * 4 + [1.0] * 20)
    assert why_invalid(builder.write()) == []


def test_probe_that_never_ticked(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    gap = Event(
        at_s=0, kind="gap", text="gap", fields={"probe": "blocking", "reason": "not permitted", "edge": "begin"}
    )
    builder.events = [worker_event(0, "done", begun=600), gap]
    assert "probe blocking measured nothing during 100% of the traffic" in only(builder.write())


def test_probe_of_a_server_that_joined(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    builder.every_second("postgres-replica-2", "pg_replication_lag_seconds", [None] * 20 + [0.0] * 20)
    assert why_invalid(builder.write()) == []


def test_probe_of_a_server_that_joined_and_was_then_lost(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    builder.every_second("postgres-replica-2", "pg_replication_lag_seconds", [None] * 20 + [0.0] * 5)
    # it joined at 20 s of 30 s, and was measured for 4 s of the 10 s that were left
    assert "probe postgres-replica-2 measured nothing during 60% of the traffic" in only(builder.write())


def test_nothing_sampled(tmp_path: Path) -> None:
    assert "nothing was sampled" in only(RunBuilder(folder=tmp_path, requests=steady()).write())


@pytest.mark.parametrize(("late", "valid"), [(5, True), (7, False)])
def test_harness_that_was_late(tmp_path: Path, late: int, valid: bool) -> None:
    builder = quiet(tmp_path)
    lags = [0.6] * late + [0.01] * (30 - late) + [0.9] * 10  # after the traffic nobody minds
    builder.every_second("harness", "flashcrowd_harness_loop_lag_seconds", lags)
    reasons = why_invalid(builder.write())
    assert (reasons == []) is valid
    assert valid or "more than 500 ms late at 23% of its samples, where 20% is allowed" in reasons[0]


def test_a_killed_run_is_read_up_to_its_last_second(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    builder.finished = None
    run = builder.write()
    with (run.folder / "requests-0.rows").open("ab") as file:
        file.write(b"\0" * (ROW.itemsize - 1))
    assert "the harness was killed" in only(run)


def test_a_sample_is_not_needed_of_what_was_not_to_be_sampled(tmp_path: Path) -> None:
    builder = quiet(tmp_path)
    builder.samples.append(("once", 0.0, [Sample(at_s=0.0, metric="m", value=1.0)]))
    assert "probe once" in only(builder.write())
