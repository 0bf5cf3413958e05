"""Graphs of waiting sessions become trees, whatever their shape."""

from __future__ import annotations

from typing import Any

from harness.probes.blocktree import Forest, Session, forest


def graph(edges: dict[int, tuple[int, ...]], **kwargs: int) -> Forest:
    """The forest of pids and whom they wait for."""
    sessions = [
        Session(pid=pid, state="active", wait_event="", statement=f"s{pid}", for_s=1.0, blocked_by=by)
        for pid, by in edges.items()
    ]
    return forest(sessions, **kwargs)


def shape(nodes: Any) -> dict[int, Any]:
    return {node["pid"]: shape(node["blocked"]) for node in nodes}


def test_nobody_waits() -> None:
    found = graph({})
    assert (found.blocked, found.depth, list(found.trees), found.left_out) == (0, 0, [], 0)


def test_three_deep() -> None:
    found = graph({4: (3,), 3: (2,), 2: (1,), 1: ()})
    assert (found.blocked, found.depth) == (3, 3)
    assert shape(found.trees) == {1: {2: {3: {4: {}}}}}


def test_who_waits_for_several_stands_below_the_one_with_most_before_it() -> None:
    found = graph({1: (), 2: (1,), 3: (1, 2), 4: (1, 2, 3)})
    assert found.depth == 3
    assert shape(found.trees) == {1: {2: {3: {4: {}}}}}
    assert found.trees[0]["blocked"][0]["blocked"][0]["blocked_by"] == [1, 2]


def test_a_deadlock_is_a_cycle_and_not_for_ever() -> None:
    found = graph({1: (2,), 2: (1,)})
    assert (found.blocked, found.depth) == (2, 2)
    assert shape(found.trees) == {1: {2: {}}}


def test_sessions_behind_a_cycle_and_a_cycle_behind_a_session() -> None:
    behind = graph({1: (2,), 2: (3,), 3: (1,), 9: (2,)})
    assert (behind.blocked, behind.depth) == (4, 4)
    assert shape(behind.trees) == {1: {3: {2: {9: {}}}}}
    # 2 and 3 wait for each other and 2 also for 1: the cycle hangs below 1
    before = graph({1: (), 2: (1, 3), 3: (2,)})
    assert (before.blocked, before.depth) == (2, 2)
    assert shape(before.trees) == {1: {2: {3: {}}}}


def test_the_largest_tree_comes_first_and_what_is_too_much_is_counted() -> None:
    found = graph({1: (), 2: (1,), 10: (), **dict.fromkeys(range(11, 31), (10,))}, most=8)
    assert [tree["pid"] for tree in found.trees] == [10, 1]
    assert found.blocked == 21
    assert found.left_out == 23 - 8
    assert sum(1 + len(tree["blocked"]) for tree in found.trees) == 8


def test_a_blocker_that_has_ended_and_a_prepared_transaction_are_named() -> None:
    found = graph({2: (1,), 3: (0,)})
    assert {tree["pid"]: tree["state"] for tree in found.trees} == {1: "ended", 0: "prepared transaction"}
    assert found.blocked == 2


def test_a_long_queue_needs_no_recursion() -> None:
    found = graph({pid: (pid - 1,) if pid else () for pid in range(5000)})
    assert (found.blocked, found.depth, found.left_out) == (4999, 4999, 4950)


def test_order_of_the_rows_does_not_matter() -> None:
    edges: dict[int, tuple[int, ...]] = {1: (), 2: (1,), 3: (2, 4), 4: (3,), 5: (4, 1), 6: (7,), 7: (6,)}
    expected = graph(edges)
    assert graph(dict(reversed(edges.items()))) == expected
    assert (expected.blocked, expected.depth) == (6, 4)
