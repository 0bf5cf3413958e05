"""Who gets which cores."""

from __future__ import annotations

import os

import pytest

from harness.errors import StackError, UsageError
from harness.stack import cores
from harness.stack.cores import Held

can_hold = pytest.mark.skipif(
    len(cores.own_cores() or ()) < 2, reason="needs two cores, and a system that holds processes to cores"
)


@pytest.mark.parametrize(
    ("cpus", "own", "server", "load"),
    [
        (1, (0, 1), (1,), (0,)),
        (1, (0, 1, 2, 3), (3,), (0, 1, 2)),
        (3, (0, 1, 2, 3), (1, 2, 3), (0,)),
        (2, (4, 7, 5), (5, 7), (4,)),
        (1, (1, 0), (0,), (1,)),
        (1, (7, 6, 5), (5,), (6, 7)),
    ],
    ids=[
        "two",
        "four",
        "all but one",
        "a subset of the machine's, unsorted",
        "the other way round",
        "from the last to the first",
    ],
)
def test_server_and_load_are_kept_apart(
    cpus: int, own: tuple[int, ...], server: tuple[int, ...], load: tuple[int, ...]
) -> None:
    found = cores.split([cpus], own)
    [held] = found.servers
    assert (held.cpus, held.cores, found.load, held.notes) == (cpus, server, load, ())


@pytest.mark.parametrize(("cpus", "own"), [(1, (0,)), (2, (0, 1)), (4, (0, 1))], ids=["one", "all", "too many"])
def test_too_few_cores_are_shared_and_said(cpus: int, own: tuple[int, ...]) -> None:
    found = cores.split([cpus], own)
    [held] = found.servers
    assert (held.cores, found.load) == (own, own)
    assert held.cpus == len(own)  # what it can have at most, not what was asked for
    assert "share" in held.notes[0]


@pytest.mark.parametrize(
    ("asked", "own", "servers", "load"),
    [
        ([1, 1], (0, 1, 2, 3), [(2,), (3,)], (0, 1)),
        ([2, 1, 1], (0, 1, 2, 3, 4, 5), [(2, 3), (4,), (5,)], (0, 1)),
        ([0.5], (0, 1), [(1,)], (0,)),
        ([1, 1, 1], (0, 1), [(1,), (1,), (1,)], (0,)),
        ([2, 1], (0, 1, 2), [(1, 2), (2,)], (0,)),
        ([2, 1], (0, 1), [(0, 1), (0, 1)], (0, 1)),
    ],
    ids=["two apart", "three apart", "half a core", "three on one", "overlapping", "with the load"],
)
def test_several_servers(
    asked: list[float], own: tuple[int, ...], servers: list[tuple[int, ...]], load: tuple[int, ...]
) -> None:
    found = cores.split(asked, own)
    assert [held.cores for held in found.servers] == servers
    assert found.load == load
    crowded = sum(asked) >= len(own) or asked == [0.5]
    assert all(bool(held.notes) == crowded for held in found.servers)


def test_where_cores_cannot_be_held_it_is_said() -> None:
    found = cores.split([1], None)
    [held] = found.servers
    assert (held.cpus, held.cores, found.load) == (1, None, None)
    assert "cannot hold" in held.notes[0]


@pytest.mark.parametrize(
    ("asked", "others", "own", "cores_given", "late"),
    [
        (1, [1], (0, 1, 2, 3), (2,), True),
        (2, [1, 1], (0, 1, 2, 3, 4), (1, 2), True),
        (1, [1], (0, 1), (1,), False),
        (0.5, [0.5], (0, 1, 2), (1,), True),
        (1, [1], None, None, False),
    ],
    ids=["of the load's", "two of the load's", "shared with the other", "a part of one", "not held"],
)
def test_one_that_joins_is_said_to_take_of_the_loads_cores(
    asked: float, others: list[float], own: tuple[int, ...] | None, cores_given: tuple[int, ...] | None, late: bool
) -> None:
    held = cores.joining(asked, others, own, quotas=asked < 1)
    assert (held.cpus, held.cores) == (asked, cores_given)
    assert ("joined a load" in " ".join(held.notes)) is late


@can_hold
def test_a_thread_is_held_and_released() -> None:
    before = os.sched_getaffinity(0)
    core = max(before)
    with cores.thread_held_to((core,)):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


@can_hold
def test_the_process_is_released_by_the_last_that_holds_it() -> None:
    own = cores.own_cores()
    assert own is not None
    started_free = os.sched_getaffinity(0) == set(own)
    with cores.process_held_to((own[0],)):
        with cores.process_held_to((own[0],)):
            assert os.sched_getaffinity(0) == {own[0]}
        assert os.sched_getaffinity(0) == {own[0]}
    if started_free:  # else a stack of another test is up
        assert os.sched_getaffinity(0) == set(own)


@pytest.mark.parametrize(
    ("cpus", "given", "expected"),
    [(1, (3,), (3,)), (2, (3,), (2, 3)), (0.5, (2, 3), (3,)), (4, (2, 3), (0, 1, 2, 3)), (2, (1,), (1, 3))],
    ids=["as many", "one more", "a part of one", "all", "beside others"],
)
def test_another_number_of_cores(cpus: float, given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert cores.others(cpus, Held(cpus=len(given), cores=given), (0, 1, 2, 3)) == expected


@pytest.mark.parametrize(("cpus", "cores_given"), [(0, (1,)), (5, (1,)), (1, None)])
def test_a_number_of_cores_that_cannot_be(cpus: float, cores_given: tuple[int, ...] | None) -> None:
    with pytest.raises(StackError):
        cores.others(cpus, Held(cpus=1, cores=cores_given), (0, 1, 2, 3))


@can_hold
def test_named_cores_are_used_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cores.NAMED, raising=False)
    own = cores.own_cores()
    assert own is not None and own == tuple(sorted(own))
    monkeypatch.setenv(cores.NAMED, f"{own[1]}, {own[0]}")
    assert cores.own_cores() == (own[1], own[0])
    monkeypatch.setenv(cores.NAMED, f"{own[0]}-{own[-1]}")
    assert cores.own_cores() == own  # what lies between and is not ours is left out
    assert cores.others(1, Held(cpus=2, cores=own[:2])) == (own[1],)
    monkeypatch.setenv(cores.NAMED, f"{own[1]},{own[0]}")
    assert cores.others(1, Held(cpus=2, cores=own[:2])) == (own[0],)


@can_hold
@pytest.mark.parametrize("text", ["two", "1-", "-1", "3-2", "4096", "0,,1"])
def test_what_names_no_cores_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cores.NAMED, text)
    with pytest.raises(UsageError, match=f"{cores.NAMED}={text}: "):
        cores.own_cores()
