"""A whole run on a server of one's own, to its verdict; and what it does to the server."""

from __future__ import annotations

import json
import signal
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.errors import Exit
from harness.probes.process import tree_of
from tests.integration.command import Command, Place, ask, command_line, measured, until
from tests.integration.external.conftest import HOST, SECRET, OwnServer

pytestmark = pytest.mark.server

VARIABLE = "FLASHCROWD_EXTERNAL_POSTGRES"


def marked(own: OwnServer, place: Place, attributes: str = "") -> tuple[str, str]:
    """A database of a new role, marked and named in the environment of the place's commands; role and database."""
    user = own.make_role(attributes)
    database = own.make_database(user)
    place.environment[VARIABLE] = own.dsn(user, database)
    assert place.run("mark", "--yes").process.returncode == Exit.FINE
    return user, database


def told_secret(place: Place) -> list[str]:
    """Files of the place in which the password stands, in whatever way it is written."""
    ways = [SECRET.encode(), SECRET.replace("@", "%40").replace(":", "%3A").replace("/", "%2F").encode()]
    files = [path for path in place.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [str(path) for path in files if any(way in path.read_bytes() for way in ways)]


def run(place: Place, incident: str, *arguments: str) -> tuple[Command, Path]:
    """Run an incident there, looking out for the password meanwhile; its experiment's folder."""

    def make() -> tuple[Command, Path]:
        command = place.begin_run(incident, "--stack", "external", *arguments)
        place.await_load(incident, "before", rows=20)
        running = place.processes()
        assert len(running) >= 3
        assert not [process for process in running if "stilz" in " ".join(command_line(process))]
        command.end()
        return command, place.experiment(incident)

    return measured(make)


def test_an_incident_is_reproduced_and_its_fix_shown(own: OwnServer, place: Place) -> None:
    _, database = marked(own, place, "CREATEDB")
    command, folder = run(place, "small-burst", "--seed", "7")
    verdict = json.loads((folder / "verdict.json").read_text())
    assert [one["why_invalid"] for one in verdict["variants"].values()] == [[], []]
    assert (verdict["status"], verdict["reproduced"], verdict["fixed"]) == ("pass", True, True), command.printed
    assert command.process.returncode == Exit.FINE
    before = verdict["variants"]["before"]
    # what the log would have told is not known, and no zero
    assert before["deadlocks"]["log"] is None
    assert before["deadlocks"]["client"] == before["deadlocks"]["counter"] >= 1
    assert [one["violations"] for one in before["invariants"]] == [0] * 5
    meta = json.loads((folder / "before" / "run.json").read_text())
    assert meta["stack"]["provider"] == "external"
    assert (meta["stack"]["postgres"]["cpus"], meta["stack"]["postgres"]["cores"]) == (None, None)
    notes = " ".join(meta["stack"]["postgres"]["notes"])
    assert "the incident asks for max_connections = 40; this server has 100" in notes
    assert "deadlock_timeout" not in notes, "as the incident asks"
    assert "GRANT pg_monitor TO" in notes and "not measured" in notes
    # the server keeps its database with a seeded copy beside it, and nothing else
    assert own.databases(database) == {database, f"{database}_flashcrowd_seed"}
    assert told_secret(place) == []
    assert place.left() == []
    assert place.run("mark", "--remove").process.returncode == Exit.FINE
    assert own.databases(database) == {database}


def test_what_is_not_measured_is_unknown_and_never_passes(own: OwnServer, place: Place) -> None:
    marked(own, place)
    command, folder = run(place, "busy-writer")
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["status"] == "unknown", command.printed
    assert command.process.returncode == Exit.UNKNOWN
    found = {one["name"]: one for one in verdict["variants"]["before"]["symptoms"]}
    assert found["busy"]["held"] is None
    assert found["answers"]["held"] is True
    assert ask(folder / "before", "SELECT count(*) FROM samples WHERE metric LIKE 'container_%'") == [(0,)]
    assert ask(folder / "before", "SELECT count(*) > 0 FROM samples WHERE metric = 'pg_stat_activity_count'") == [
        (True,)
    ]
    # a role that may not create databases seeds anew, and is told how long that takes
    assert "may not create databases" in command.printed
    assert "seeded fixtures.collectibles at scale 0.02 in " in command.printed
    assert "work_mem" not in command.printed, "4096kB are 4MB"
    assert told_secret(place) == []


@contextmanager
def exporter(own: OwnServer) -> Iterator[int]:
    """An exporter that tells of the server's processes what cAdvisor would, to whoever has the password; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != f"Basic {b64encode(f'me:{SECRET}'.encode()).decode()}":
                self.send_error(401)
                return
            used_s = tree_of(own.server.pid).cpu_s()
            lines = [
                f'container_cpu_usage_seconds_total{{cpu="total",id="/1",name="shop-db"}} {used_s} {time.time_ns() // 10**6}',
                'container_cpu_usage_seconds_total{cpu="total",id="/2",name="postgres"} 1e9',
                "machine_cpu_cores 2",
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write("\n".join(lines).encode() + b"\n")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_an_exporter_makes_the_cpu_known(own: OwnServer, place: Place) -> None:
    _, database = marked(own, place)
    with own.admin(database) as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
    with exporter(own) as port:
        source = f"http://me:{quote(SECRET, safe='')}@{HOST}:{port}/metrics#name=shop-db"
        place.environment["FLASHCROWD_PROMETHEUS"] = source
        used_s = tree_of(own.server.pid).cpu_s()
        command, folder = run(place, "busy-writer")
        used_s = tree_of(own.server.pid).cpu_s() - used_s
    verdict = json.loads((folder / "verdict.json").read_text())
    assert (verdict["status"], command.process.returncode) == ("pass", Exit.FINE), command.printed
    found = {one["name"]: one for one in verdict["variants"]["before"]["symptoms"]}
    assert found["busy"]["held"] is True
    [(first, last, count, names)] = ask(
        folder / "before",
        "SELECT min(value), max(value), count(*), count(DISTINCT labels) FROM samples WHERE metric = 'container_cpu_usage_seconds_total'",
    )
    assert isinstance(first, float) and isinstance(last, float) and isinstance(count, int)
    assert 0 < last - first <= used_s, "no more than the server used by another reckoning"
    assert count >= 4 and names == 1
    assert ask(
        folder / "before", "SELECT DISTINCT value FROM samples WHERE metric = 'flashcrowd_cpu_allotment_cores'"
    ) == [(2.0,)]
    # the server times no I/O, so how long reading blocks took is not known
    query = "SELECT count(*) > 0, count(shared_blk_read_s) FROM read_parquet(?)"
    assert ask(folder / "before", query, [str(folder / "before" / "statements.parquet")]) == [(True, 0)]
    assert told_secret(place) == []


def test_an_unmarked_database_is_left_alone(own: OwnServer, place: Place) -> None:
    user = own.make_role()
    database = own.make_database(user)
    place.environment[VARIABLE] = own.dsn(user, database)
    command = place.run("run", "one-statement", "--stack", "external", "--out", str(place.out))
    assert command.process.returncode == Exit.STACK
    assert "is not marked" in command.printed and "flashcrowd mark" in command.printed
    with own.admin(database) as admin:
        assert admin.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchone() == (0,)
    assert place.left() == []


def test_so_is_a_copy_of_a_marked_one(own: OwnServer, place: Place) -> None:
    user, database = marked(own, place)
    with own.admin() as admin:
        admin.execute(f"CREATE DATABASE {database}_live TEMPLATE {database} OWNER {user}".encode())
    command = place.run(
        "run", "one-statement", "--stack", "external", "--out", str(place.out),
        **{VARIABLE: own.dsn(user, f"{database}_live")},
    )  # fmt: skip
    assert command.process.returncode == Exit.STACK
    assert f"holds the marker of a database named '{database}'" in command.printed


def test_so_is_one_with_somebodys_table(own: OwnServer, place: Place) -> None:
    _, database = marked(own, place)
    with own.admin(database) as admin:
        admin.execute("CREATE TABLE orders (id int)")
        admin.execute("INSERT INTO orders VALUES (1)")
    command = place.run("run", "one-statement", "--stack", "external", "--out", str(place.out))
    assert command.process.returncode == Exit.STACK
    assert "holds 1 table that neither the dataset nor flashcrowd made (public.orders)" in command.printed
    with own.admin(database) as admin:
        assert admin.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_nobody_named(place: Place) -> None:
    command = place.run("run", "one-statement", "--stack", "external", "--out", str(place.out))
    assert command.process.returncode == Exit.USAGE
    assert "FLASHCROWD_EXTERNAL_POSTGRES names no server" in command.printed


def test_seeding_can_be_interrupted_and_leaves_nothing(own: OwnServer, place: Place) -> None:
    _, database = marked(own, place, "CREATEDB")
    command = place.begin("run", "one-statement", "--stack", "external", "--scale", "1", "--out", str(place.out))
    command.await_text("seeding fixtures.collectibles")

    def copying() -> bool:
        with own.admin() as admin:
            row = admin.execute("SELECT count(*) FROM pg_stat_progress_copy WHERE datname = %s", [database]).fetchone()
        return row != (0,)

    until(copying, "rows to be on their way")
    command.signal(signal.SIGINT)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert "Traceback" not in command.printed
    with own.admin(database) as admin:
        assert admin.execute("SELECT to_regclass('items'), to_regclass('flashcrowd.seeded')").fetchone() == (None, None)
    assert own.databases(database) == {database}
    assert place.left() == []


def test_a_stack_of_ones_own_to_look_around_in(own: OwnServer, place: Place) -> None:
    user, database = marked(own, place, "CREATEDB")

    def begin() -> Command:
        up = place.begin("up", "one-statement", "--stack", "external", "--scale", "0.01")
        up.await_text("up until Ctrl-C")
        with own.admin(database) as admin:
            assert admin.execute("SELECT count(*), to_regclass('made') FROM items").fetchone() == (6000, None)
        return up

    killed = begin()
    assert f"psql 'postgresql://{user}@{HOST}:{own.server.port}/{database}?sslmode=verify-full" in killed.printed
    assert "passwords are not shown" in killed.printed
    with own.admin(database) as admin:
        admin.execute("CREATE TABLE made (x int); TRUNCATE items CASCADE")
    killed.signal(signal.SIGKILL)
    killed.end()
    up = begin()
    assert "was killed; what came into it since is taken for that run's: public.made" in up.printed
    assert told_secret(place) == []
    up.signal(signal.SIGTERM)
    assert up.end() == Exit.FINE, up.printed
    assert own.databases(database) == {database, f"{database}_flashcrowd_seed"}
    assert place.left() == []
