"""`users.py` under a plain ``locust -f``, without any harness: headless, with processes, from its web page."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.catalog import load_folder
from harness.load.arrivals import schedule
from harness.model import Outcome
from tests.integration.command import INCIDENTS, TRAFFIC_OVER, Place, free_port, locust_processes, until

LOCUST = (str(Path(sys.executable).with_name("locust")),)
USERS = ("-f", str(INCIDENTS / "small_burst" / "users.py"))

#: When the traffic of small-burst is over.
ENDS_S = 3.0


@pytest.fixture
def dsn(place: Place) -> Iterator[str]:
    """A seeded server from `flashcrowd up`; of each test's own, as there are only so many items to craft from."""
    command = place.begin("up", "small-burst", "--scale", "0.02")
    yield command.await_text(r"FLASHCROWD_DSN=(\S+)")[1]
    command.process.terminate()
    assert command.end() == 0, command.printed
    assert place.left() == []


def crafts(dsn: str) -> tuple[int, int]:
    """How many crafts the database holds, and how many different requests made them."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*), count(DISTINCT request_id) FROM crafts").fetchone()
    assert row is not None
    return row[0], row[1]


def operations(statistics: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Locust's figures by operation, without its sum."""
    return {entry["name"]: entry for entry in statistics if entry["name"] != "Aggregated"}


@pytest.mark.parametrize(
    ("variant", "processes"), [("before", 1), ("after", 2)], ids=["with deadlocks", "two processes"]
)
def test_headless(place: Place, dsn: str, variant: str, processes: int) -> None:
    had, _ = crafts(dsn)
    arguments = (*USERS, "--headless", "-u", "2", "-r", "2", "--json")
    arguments += locust_processes(processes) if processes > 1 else ()
    command = place.begin(*arguments, program=LOCUST, FLASHCROWD_DSN=dsn, FLASHCROWD_VARIANT=variant)
    until(lambda: len(re.findall(TRAFFIC_OVER, command.printed)) == processes, "all traffic to be over")
    command.process.terminate()
    code = command.end()
    assert "\n[\n" in command.printed, command.printed
    told, _ = json.JSONDecoder().raw_decode(command.printed[command.printed.index("\n[\n") + 1 :])
    figures = {entry["name"]: entry for entry in told}
    assert figures.keys() == {"craft", "view_recipe"}
    ok = figures["craft"]["num_requests"] - figures["craft"]["num_failures"]
    have, distinct = crafts(dsn)
    assert ok > 0 and have - had == ok, "what Locust shows is what the database holds"
    assert distinct == have
    if variant == "after":
        assert code == 0 and figures["craft"]["num_failures"] == 0, command.printed
    else:
        assert code == 1 and figures["craft"]["num_failures"] > 0, "Locust's own code for failed requests"
        assert "40P01" in command.printed
    assert "Traceback" not in command.printed


def test_requests_that_its_end_cuts_off_have_not_failed(place: Place, dsn: str) -> None:
    users = str(INCIDENTS / "one_statement" / "users.py")
    arguments = ("-f", users, "--headless", "-u", "1", "--json")
    command = place.begin(*arguments, program=LOCUST, FLASHCROWD_DSN=dsn, FLASHCROWD_VARIANT="sleepy")
    command.await_text(r"ask +[1-9]")  # two hundred begin in a second, and forty end
    command.process.terminate()
    assert command.end() == 0, command.printed
    told, _ = json.JSONDecoder().raw_decode(command.printed[command.printed.index("\n[\n") + 1 :])
    (entry,) = operations(told).values()
    assert entry["num_requests"] > 0 and entry["num_failures"] == 0, command.printed
    assert Outcome.CUT_OFF not in command.printed


def test_its_web_page(place: Place, dsn: str) -> None:
    port = free_port()
    arguments = (*USERS, "--web-host", "127.0.0.1", "--web-port", str(port))
    command = place.begin(*arguments, program=LOCUST, FLASHCROWD_DSN=dsn, FLASHCROWD_VARIANT="after")

    def ask(path: str, **form: object) -> Any:
        data = urllib.parse.urlencode(form).encode() if form else None
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=10) as answer:
            return json.load(answer)

    def answers() -> bool:
        try:
            ask("/stats/requests")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def holds(count: int) -> bool:
        return crafts(dsn)[0] == count

    until(answers, "Locust's web page")
    scheduled = schedule(load_folder(INCIDENTS / "small_burst").traffic, 1).counts()
    wanted = 0
    for _ in range(2):  # a second test begins anew, on the same data
        had, _ = crafts(dsn)
        wanted += scheduled["craft"]
        assert ask("/swarm", user_count=1, spawn_rate=1)["success"] is True

        def requests() -> dict[str, int]:
            return {name: entry["num_requests"] for name, entry in operations(ask("/stats/requests")["stats"]).items()}

        # the page shows figures for a while after they were taken: look at the data first
        until(partial(holds, wanted), f"{wanted} crafts in the data")
        until(lambda: requests() == scheduled, f"the page to show {scheduled}")
        figures = operations(ask("/stats/requests")["stats"])
        for entry in figures.values():  # its rate is over the time from the swarm to the last request
            assert ENDS_S - 1 < entry["num_requests"] / entry["total_rps"] < ENDS_S + 5
        have, distinct = crafts(dsn)
        assert figures["craft"]["num_requests"] - figures["craft"]["num_failures"] == have - had > 0
        assert figures["craft"]["num_failures"] == 0, "the ids of a second test are new, or its inserts would fail"
        assert distinct == have
        assert ask("/stop", now="yes")["success"] is True
        until(lambda: ask("/stats/requests")["state"] == "stopped", "the stop")
    command.process.terminate()
    assert command.end() == 0, "no request has failed"
    assert "Traceback" not in command.printed, command.printed
