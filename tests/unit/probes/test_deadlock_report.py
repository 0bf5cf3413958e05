"""A deadlock's DETAIL is taken apart, whatever its statements hold."""

from __future__ import annotations

from harness.probes.deadlock_report import parse_detail

GRAPH = (
    "Process 101 waits for ShareLock on transaction 812; blocked by process 102.\n"
    "Process 102 waits for AccessExclusiveLock on relation 16400 of database 5; blocked by process 103.\n"
    "Process 103 waits for ExclusiveLock on tuple (0,1) of relation 16400 of database 5; blocked by process 101."
)


def test_graph_and_statements_of_three() -> None:
    found = parse_detail(f"{GRAPH}\nProcess 101: UPDATE a\nProcess 102: LOCK TABLE b\nProcess 103: DELETE FROM c")
    assert [(one.pid, one.mode, one.object, one.blocked_by) for one in found] == [
        (101, "ShareLock", "transaction 812", 102),
        (102, "AccessExclusiveLock", "relation 16400 of database 5", 103),
        (103, "ExclusiveLock", "tuple (0,1) of relation 16400 of database 5", 101),
    ]
    assert [one.statement for one in found] == ["UPDATE a", "LOCK TABLE b", "DELETE FROM c"]


def test_the_clients_detail_has_no_statements() -> None:
    assert [one.statement for one in parse_detail(GRAPH)] == [None, None, None]


def test_statements_over_several_lines_and_with_lines_like_the_reports_own() -> None:
    nasty = "UPDATE a\n  SET b = 'Process 101: no'\n\nProcess 101: still this statement\nProcess 7: and this"
    found = parse_detail(f"{GRAPH}\nProcess 101: {nasty}\nProcess 102: x\nProcess 103: y\nz")
    assert [one.statement for one in found] == [nasty, "x", "y\nz"]


def test_what_is_no_report_gives_nothing() -> None:
    assert parse_detail("") == []
    assert parse_detail("Key (id)=(1) already exists.") == []
