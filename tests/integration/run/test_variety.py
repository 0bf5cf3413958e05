"""Other ways to run: several workers, the closed model with psycopg, a full house, a finer look, two runs at once."""

from __future__ import annotations

import json
import signal

import psycopg

from harness.errors import Exit
from tests.integration.command import Place, ask


def test_two_workers_share_arrivals_and_connections(place: Place) -> None:
    command = place.begin_run("small-burst", "--variant", "before", "--workers", "2")
    code = command.end()
    run = place.experiment("small-burst") / "before"
    variant = json.loads((run.parent / "verdict.json").read_text())["variants"]["before"]
    assert (variant["valid"], variant["why_invalid"]) == (True, []), command.printed
    assert code == Exit.FINE, command.printed
    scheduled = sum(json.loads((run / "run.json").read_text())["scheduled"].values())
    assert ask(run, "SELECT count(*), count(DISTINCT arrival) FROM requests WHERE attempt = 1") == [
        (scheduled, scheduled)
    ]
    assert ask(run, "SELECT DISTINCT worker, arrival % 2 FROM requests ORDER BY 1") == [(0, 0), (1, 1)]
    opened = dict(
        ask(  # type: ignore[arg-type]
            run,
            "SELECT labels ->> 'worker', max(value) FROM samples WHERE metric = 'flashcrowd_pool_size' GROUP BY 1",
        )
    )
    assert opened.keys() == {"0", "1"} and max(opened.values()) <= 10, "20 connections, 10 a worker"
    assert variant["deadlocks"]["agree"] is True
    assert place.left() == []


def test_the_closed_model_with_psycopg_and_a_connection_a_user(place: Place) -> None:
    command = place.begin_run("regulars")
    assert command.end() == Exit.FINE, command.printed
    run = place.experiment("regulars") / "before"
    verdict = json.loads((run.parent / "verdict.json").read_text())
    assert verdict["variants"]["before"]["why_invalid"] == []
    assert dict(ask(run, "SELECT outcome, count(*) > 100 FROM requests GROUP BY 1")) == {"ok": True}  # type: ignore[arg-type]
    assert ask(run, "SELECT count(*) - count(DISTINCT arrival) FROM requests") == [(0,)]
    # three users in the first phase, eight in the second, each on a connection of its own
    most = "SELECT max(value) FROM samples WHERE metric = 'flashcrowd_pool_size' AND at_s BETWEEN ? AND ?"
    assert ask(run, most, [0.5, 1.9]) == [(3.0,)]
    assert ask(run, most, [2.5, 3.9]) == [(8.0,)]
    # a user who waits for the answer before asking again never has two requests in flight
    ((most_at_once,),) = ask(
        run,
        "SELECT max(n) FROM (SELECT sum(step) OVER (ORDER BY moment, step) AS n FROM"
        " (SELECT started_ns AS moment, 1 AS step FROM requests UNION ALL SELECT finished_ns, -1 FROM requests))",
    )
    assert isinstance(most_at_once, int | float) and most_at_once <= 8
    assert (run.parent / "report.html").stat().st_size > 10_000
    assert place.left() == []


def test_a_full_house_refuses_by_its_own_name(place: Place) -> None:
    command = place.begin_run("full-house")
    command.end()
    run = place.experiment("full-house") / "before"
    outcomes = dict(ask(run, "SELECT outcome, count(*) FROM requests GROUP BY 1"))  # type: ignore[arg-type]
    assert outcomes["ok"] > 0 and outcomes["53300"] > 0
    assert outcomes.keys() <= {"ok", "53300", "cut_off"}
    assert sum(outcomes.values()) == 240
    assert ask(run, "SELECT count(*) FROM requests WHERE outcome = '53300' AND service_s IS NOT NULL") == [(0,)]
    assert "53300" in (run.parent / "report.html").read_text()
    # the probes were inside before the house was full
    assert ask(run, "SELECT count(*) FROM events WHERE kind = 'gap' AND at_s BETWEEN 0 AND 4") == [(0,)]
    ((ticks,),) = ask(run, "SELECT count(*) FROM ticks WHERE probe = 'activity' AND at_s BETWEEN 0 AND 4")
    assert isinstance(ticks, int) and ticks >= 4
    assert json.loads((run.parent / "verdict.json").read_text())["variants"]["before"]["why_invalid"] == []
    assert place.left() == []


def test_a_tenth_of_a_second_gives_ten_samples_a_second(place: Place) -> None:
    command = place.begin_run("one-statement", "--interval", "100ms", "--duration", "3s")
    assert command.end() == Exit.FINE, command.printed
    run = place.experiment("one-statement") / "before"
    ticks = dict(
        ask(run, "SELECT probe, count(*) FROM ticks WHERE at_s >= 0 AND at_s < 3 GROUP BY 1 ORDER BY 1")  # type: ignore[arg-type]
    )
    missed = dict(
        ask(  # type: ignore[arg-type]
            run,
            "SELECT fields ->> 'probe', sum((fields ->> 'missed')::INT) FROM events"
            " WHERE kind = 'gap' AND fields ->> 'edge' = 'end' GROUP BY 1",
        )
    )
    for probe in ("activity", "blocking", "database", "process", "deadlocks", "harness"):
        assert 28 <= ticks[probe] + missed.get(probe, 0) <= 31, (probe, ticks, missed)
        assert ticks[probe] >= 24, (probe, ticks)


def test_two_runs_at_once_do_not_get_mixed_up(place: Place) -> None:
    first = place.begin_run("small-burst", "--variant", "after", "--seed", "1")
    second = place.begin_run("small-burst", "--variant", "after", "--seed", "2")
    assert first.end() == Exit.FINE, first.printed
    assert second.end() == Exit.FINE, second.printed
    runs = sorted((place.out / "small-burst").glob("20*/after"))
    assert len(runs) == 2
    assert {json.loads((run / "run.json").read_text())["seed"] for run in runs} == {1, 2}
    for run in runs:
        scheduled = sum(json.loads((run / "run.json").read_text())["scheduled"].values())
        assert ask(run, "SELECT count(*), count(DISTINCT arrival) FROM requests WHERE attempt = 1") == [
            (scheduled, scheduled)
        ]
        verdict = json.loads((run.parent / "verdict.json").read_text())
        assert [one["violations"] for one in verdict["variants"]["after"]["invariants"]] == [0] * 5
    assert (place.out / "small-burst" / "latest").resolve() in {run.parent for run in runs}
    assert place.left() == []


def test_up_gives_a_server_until_it_is_told_to_stop(place: Place) -> None:
    command = place.begin("up", "small-burst", "--scale", "0.02")
    dsn = command.await_text(r"FLASHCROWD_DSN=(\S+)")[1]
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchone() == (12_000,)
        connection.execute("UPDATE items SET burned_by = 1 WHERE item_id = 1")
    command.await_text("up until Ctrl-C")
    command.signal(signal.SIGINT)
    assert command.end() == Exit.FINE, command.printed
    assert "Traceback" not in command.printed
    assert place.left() == []
