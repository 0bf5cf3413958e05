"""Two workers carry the traffic of one: open arrivals by their schedule, closed users on connections of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from harness.errors import Exit
from harness.record.points import points
from harness.record.reader import Points, Run
from tests.integration.command import Command, Place, ask, rows_of

TWO = ("--workers", "2", "--interval", "100ms")


@pytest.fixture(scope="module")
def open_run(shared_place: Place) -> Path:
    """An open-loop run with deadlocks, at a rate at which the pool runs dry and yet nothing is cut off; its folder."""
    command = shared_place.measure("small-burst", "--variant", "before", "--rate", "1.5x", "--seed", "2", *TWO)
    assert command.process.returncode == Exit.FINE, command.printed
    return shared_place.experiment("small-burst") / "before"


@pytest.fixture(scope="module")
def closed(shared_place: Place) -> Command:
    """A closed-loop run with psycopg and a connection for each user."""
    return shared_place.measure("regulars", *TWO)


@pytest.fixture(scope="module")
def closed_run(closed: Command, shared_place: Place) -> Path:
    """Its folder."""
    return shared_place.experiment("regulars") / "before"


def connections(folder: Path) -> Points:
    """Client connections as the server saw them."""
    run = Run(folder)
    try:
        return points(run, "postgres.connections")
    finally:
        run.db.close()


def meta(folder: Path) -> dict[str, Any]:
    """What the run was asked for."""
    told: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return told


def judged(folder: Path) -> dict[str, Any]:
    """What the verdict says of the run."""
    told: dict[str, Any] = json.loads((folder.parent / "verdict.json").read_text())["variants"][folder.name]
    return told


def test_every_arrival_is_recorded_once_and_none_is_early(open_run: Path) -> None:
    scheduled = meta(open_run)["scheduled"]
    rows = rows_of(open_run)
    first = [row for row in rows if row[1] == 1]
    assert [row[0] for row in first] == list(range(sum(scheduled.values())))
    assert {name: sum(row[2] == name for row in first) for name in scheduled} == scheduled
    assert len({row[:2] for row in rows}) == len(rows)
    assert all(started >= intended for *_, intended, started in rows)


def test_each_worker_took_its_half(open_run: Path) -> None:
    assert ask(open_run, "SELECT DISTINCT worker, arrival % 2 FROM requests ORDER BY ALL") == [(0, 0), (1, 1)]
    run = Run(open_run)
    try:
        done = {
            event.fields["worker"]: event.fields for event in run.events("worker") if event.fields["state"] == "done"
        }
    finally:
        run.db.close()
    total = sum(meta(open_run)["scheduled"].values())
    assert {worker: told["scheduled"] for worker, told in done.items()} == {0: (total + 1) // 2, 1: total // 2}
    assert all(told["begun"] == told["scheduled"] and told["cap_reached"] is False for told in done.values())


def test_both_together_open_no_more_connections_than_the_pool_has(open_run: Path) -> None:
    pool_size = meta(open_run)["application"]["pool_size"]
    # Requests waited on either side, so what held the connections down was the pool and no lack of work.
    waiting = (
        "SELECT labels ->> 'worker', max(value) > 0 FROM samples WHERE metric = 'flashcrowd_pool_waiting' GROUP BY 1"
    )
    assert sorted(ask(open_run, waiting)) == [("0", True), ("1", True)]
    assert connections(open_run).value.max() == pool_size
    opened = "SELECT labels ->> 'worker', max(value) FROM samples WHERE metric = 'flashcrowd_pool_size' GROUP BY 1"
    assert sorted(ask(open_run, opened)) == [("0", pool_size / 2), ("1", pool_size / 2)]


def test_deadlocks_agree_over_both_workers(open_run: Path) -> None:
    count = judged(open_run)["deadlocks"]
    assert count["agree"] is True
    assert count["client"] == count["log"] == count["counter"] == count["matched"]
    victims: dict[int, int] = dict(
        ask(open_run, "SELECT worker, count(*) FROM requests WHERE outcome = '40P01' GROUP BY 1")  # type: ignore[arg-type]
    )
    assert victims.keys() == {0, 1}
    assert sum(victims.values()) == count["client"]


def test_the_data_bears_the_acknowledged_crafts_of_both(open_run: Path) -> None:
    found = judged(open_run)
    assert (found["valid"], found["why_invalid"]) == (True, [])
    assert [one["violations"] for one in found["invariants"]] == [0] * 5


def test_a_closed_run_is_judged(closed: Command, closed_run: Path) -> None:
    assert closed.process.returncode == Exit.FINE, closed.printed
    verdict = json.loads((closed_run.parent / "verdict.json").read_text())
    assert (verdict["status"], verdict["reproduced"], verdict["fixed"]) == ("pass", None, None)
    found = judged(closed_run)
    assert (found["valid"], found["why_invalid"], found["expect"]) == (True, [], "nothing")
    told = meta(closed_run)
    assert (told["open"], told["application"]["driver"], told["application"]["connections"]) == (
        False, "psycopg", "per_user",
    )  # fmt: skip


def test_a_closed_run_asks_with_psycopg_and_numbers_its_requests(closed_run: Path) -> None:
    # The statement's placeholder is one that psycopg alone understands.
    assert ask(closed_run, "SELECT DISTINCT outcome FROM requests") == [("ok",)]
    assert ask(closed_run, "SELECT DISTINCT worker, arrival % 2 FROM requests ORDER BY ALL") == [(0, 0), (1, 1)]
    assert ask(closed_run, "SELECT count(*) - count(DISTINCT arrival) FROM requests") == [(0,)]
    assert ask(closed_run, "SELECT count(*) FROM requests WHERE started_ns < intended_ns") == [(0,)]
    rows = ask(closed_run, "SELECT count(*) FROM requests")
    run = Run(closed_run)
    try:
        begun = [int(str(event.fields["begun"])) for event in run.events("worker") if event.fields["state"] == "done"]
        statements = run.query(
            "SELECT sum(calls) FROM read_parquet(?) WHERE query LIKE '%::int +%'",
            [str(closed_run / "statements.parquet")],
        )
    finally:
        run.db.close()
    assert rows == [(sum(begun),)]
    assert statements == rows, "the server ran as many as were recorded"


def test_each_user_has_a_connection_and_waits_for_its_answer(closed_run: Path) -> None:
    seen = connections(closed_run)
    for phase in meta(closed_run)["phases"]:
        begin_s, end_s, users = phase["at_s"], phase["at_s"] + phase["for_s"], phase["users"]
        # Inside the phase, away from the edges at which users come and go.
        inside = seen.value[(seen.at_s > begin_s + 0.6) & (seen.at_s < end_s - 0.1)]
        assert len(inside) >= 5
        assert np.unique(inside).tolist() == [users], phase["name"]
        at_once = ask(
            closed_run,
            "SELECT max(n) FROM (SELECT sum(step) OVER (ORDER BY at_ns, step) AS n FROM"
            " (SELECT started_ns AS at_ns, 1 AS step FROM part UNION ALL SELECT finished_ns, -1 FROM part))".replace(
                "part", f"(SELECT * FROM requests WHERE intended_s BETWEEN {begin_s + 0.1} AND {end_s})"
            ),
        )
        ((most,),) = at_once
        assert isinstance(most, int | float) and 1 <= most <= users, phase["name"]


def test_the_reports_of_a_closed_run_tell_of_users_and_no_schedule(closed_run: Path) -> None:
    folder = closed_run.parent
    html = (folder / "report.html").read_text()
    assert html.lstrip().startswith("<!")
    for said in ("closed model", "3 users", "8 users", "driver psycopg", "connections per_user"):
        assert said in html, said
    ((requests,),) = ask(closed_run, "SELECT count(*) FROM requests")
    assert f"{requests:,}" in html
    assert "regulars: pass" in (folder / "report.md").read_text()
    suite = ElementTree.parse(folder / "junit.xml").getroot()
    assert [found.tag for kind in ("failure", "error") for found in suite.iter(kind)] == []


def test_nothing_is_left_behind(open_run: Path, closed_run: Path, shared_place: Place) -> None:
    assert open_run.exists() and closed_run.exists()
    assert shared_place.left() == []
