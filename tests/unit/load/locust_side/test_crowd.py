"""The crowd: every arrival begun, never early; each request recorded with its four times, whatever becomes of it."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import replace
from time import monotonic_ns
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.load.arrivals import schedule
from harness.load.locust_side import crowd as crowd_module
from harness.load.locust_side.crowd import Arrival, Crowd, Operation
from harness.load.locust_side.readers import Readers
from harness.load.locust_side.recorder import Recorder
from harness.model import Application, Connections, Constant, Retry, Traffic, Users
from harness.record.format import NOT_REACHED

from .fakes import FakeDriver, FakeSupply

OPEN = Traffic(phases=(Constant(name="burst", at_s=0, for_s=0.3, per_s=500),), mix={"craft": 1.0})


def make(
    traffic: Traffic = OPEN,
    application: Application | None = None,
    readers: Readers | None = None,
    reading: tuple[str, ...] = (),
    **changes: Any,
) -> tuple[Crowd, Recorder, FakeDriver]:
    application = application or Application(pool_size=8)
    recorder, driver = Recorder(None, worker=0), FakeDriver()
    settings: dict[str, Any] = {
        "traffic": traffic,
        "schedule": schedule(traffic, 1),
        "application": application,
        "supply": FakeSupply(application, driver, readers, reading),
        "recorder": recorder,
        "seed": 1,
        "worker": 0,
        "workers": 1,
        "cap": 10_000,
    }
    return Crowd(**(settings | changes)), recorder, driver


async def carry(crowd: Crowd, recorder: Recorder, operation: Operation, drain_s: float = 5.0) -> NDArray[Any]:
    origin = monotonic_ns() + 10_000_000
    await crowd.arrive(origin, {"craft": operation})
    await crowd.finish(drain_s)
    recorder.hand_over()
    return recorder.flush()


def outcomes(rows: NDArray[Any], recorder: Recorder) -> Counter[str]:
    return Counter(recorder.outcomes.name(code) for code in rows["outcome"].tolist())


async def nothing(db: Any, arrival: Arrival) -> None:
    await asyncio.sleep(0)


async def test_every_arrival_is_begun_once_and_none_early() -> None:
    crowd, recorder, driver = make()
    rows = await carry(crowd, recorder, nothing)
    assert sorted(rows["arrival"]) == list(range(len(schedule(OPEN, 1))))
    assert (rows["started"] >= rows["intended"]).all()
    assert (rows["acquired"] >= rows["started"]).all()
    assert (rows["finished"] >= rows["acquired"]).all()
    assert driver.open == 0


async def test_a_slow_server_delays_answers_and_not_arrivals() -> None:
    crowd, recorder, _ = make(application=Application(pool_size=2))

    async def slow(db: Any, arrival: Arrival) -> None:
        await asyncio.sleep(0.01)

    rows = await carry(crowd, recorder, slow)
    response, service = rows["finished"] - rows["intended"], rows["finished"] - rows["acquired"]
    assert np.median(rows["started"] - rows["intended"]) < np.median(rows["acquired"] - rows["started"]) / 4
    # 150 requests of 10 ms over two connections take 0.75 s: the last waits for half a second, its service takes 10 ms
    assert response.max() > 300_000_000
    assert np.median(service) < 100_000_000


async def test_pool_wait_limit_is_an_outcome_without_a_connection() -> None:
    crowd, recorder, _ = make(application=Application(pool_size=1, pool_wait_limit_s=0.02))

    async def slow(db: Any, arrival: Arrival) -> None:
        await asyncio.sleep(0.05)

    rows = await carry(crowd, recorder, slow)
    timed_out = rows[rows["outcome"] == recorder.outcomes["pool_timeout"]]
    assert len(timed_out) > 50
    assert (timed_out["acquired"] == NOT_REACHED).all()
    assert (timed_out["finished"] - timed_out["started"] >= 20_000_000).all()


async def test_time_limit_is_an_outcome() -> None:
    crowd, recorder, _ = make(application=Application(pool_size=200, time_limit_s=0.02))

    async def hangs(db: Any, arrival: Arrival) -> None:
        await asyncio.sleep(60)

    assert set(outcomes(await carry(crowd, recorder, hangs), recorder)) == {"time_limit"}


async def test_what_swallows_its_time_limit_and_ends_later_has_not_kept_it() -> None:
    crowd, recorder, _ = make(application=Application(pool_size=200, time_limit_s=0.02))

    async def stubborn(db: Any, arrival: Arrival) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(0.01)

    rows = await carry(crowd, recorder, stubborn)
    assert set(outcomes(rows, recorder)) == {"time_limit"}
    assert (rows["finished"] - rows["started"] >= 30_000_000).all(), "when it ended, not when it should have"


async def test_what_is_in_flight_at_the_end_is_cut_off_and_recorded() -> None:
    crowd, recorder, driver = make(application=Application(pool_size=3))

    async def hangs(db: Any, arrival: Arrival) -> None:
        await asyncio.sleep(60)

    rows = await carry(crowd, recorder, hangs, drain_s=0.05)
    assert outcomes(rows, recorder) == {"cut_off": len(schedule(OPEN, 1))}
    assert (rows["acquired"] != NOT_REACHED).sum() == 3
    assert driver.open == 0


async def test_what_swallows_its_cancellation_is_cut_off_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd_module, "CANCEL_AGAIN_S", 0.01)
    crowd, recorder, driver = make(application=Application(pool_size=3))

    async def stubborn(db: Any, arrival: Arrival) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    rows = await carry(crowd, recorder, stubborn, drain_s=0.05)
    assert outcomes(rows, recorder) == {"cut_off": len(schedule(OPEN, 1))}
    assert driver.open == 0


async def test_the_generators_own_cap_is_recorded_and_remembered() -> None:
    crowd, recorder, _ = make(application=Application(pool_size=200), cap=5)

    async def slow(db: Any, arrival: Arrival) -> None:
        await asyncio.sleep(0.1)

    found = outcomes(await carry(crowd, recorder, slow), recorder)
    assert found["over_cap"] > 0
    assert found["ok"] + found["over_cap"] == len(schedule(OPEN, 1))
    assert crowd.tally.cap_reached


async def test_a_person_tries_again_and_each_attempt_is_a_request() -> None:
    retry = Retry(attempts=3, after_s=0.005, operations=("craft",))
    # a second of quiet after the burst: whoever wants to try again can
    calm = Constant(name="calm", at_s=0.3, for_s=1.0, per_s=1)
    traffic = replace(OPEN, phases=(*OPEN.phases, calm), retry=retry)
    crowd, recorder, _ = make(traffic)

    async def fails_twice(db: Any, arrival: Arrival) -> None:
        if arrival.attempt < 3:
            raise ValueError("no")

    rows = await carry(crowd, recorder, fails_twice)
    first = rows[rows["attempt"] == 1]
    assert len(first) == len(schedule(traffic, 1))
    assert set(first["outcome"]) == {recorder.outcomes["error:ValueError"]}
    third = rows[rows["attempt"] == 3]
    assert len(third) >= len(first) - 5  # the calm phase's last ones have no time left
    assert set(third["outcome"]) == {recorder.ok}
    for arrival in (0, 1, 2):
        mine = np.sort(rows[rows["arrival"] == arrival], order="attempt")
        assert (mine["intended"][1:] >= mine["finished"][:-1]).all()


async def test_random_choices_depend_on_seed_arrival_and_attempt_alone() -> None:
    def draw(seed: int, index: int, attempt: int) -> list[float]:
        source = Arrival(seed, index, attempt).random
        return [source.random() for _ in range(3)]

    assert draw(1, 5, 1) == draw(1, 5, 1)
    assert len({tuple(draw(*key)) for key in [(1, 5, 1), (2, 5, 1), (1, 6, 1), (1, 5, 2)]}) == 4
    assert Arrival(1, 5, 2).request_id == 5 * 16 + 2


@pytest.mark.parametrize("connections", list(Connections))
async def test_closed_users_wait_for_their_answer(connections: Connections) -> None:
    traffic = Traffic(
        phases=(
            Users(name="few", at_s=0, for_s=0.2, users=2),
            Users(name="many", at_s=0.2, for_s=0.2, users=6),
        ),
        mix={"craft": 1.0},
    )
    crowd, recorder, driver = make(traffic, Application(pool_size=20, connections=connections))
    in_flight, most = 0, {"few": 0, "many": 0}
    origin = monotonic_ns() + 5_000_000

    async def operation(db: Any, arrival: Arrival) -> None:
        nonlocal in_flight
        in_flight += 1
        # users of the first phase may still be at their last request when the second begins
        phase = "few" if monotonic_ns() < origin + 195_000_000 else "many"
        most[phase] = max(most[phase], in_flight)
        await asyncio.sleep(0.005)
        in_flight -= 1

    for number in range(6):
        crowd.begin_user(number, origin, {"craft": operation})
    await asyncio.sleep(0.45)
    await crowd.finish(1.0)
    recorder.hand_over()
    rows = recorder.flush()
    assert most["few"] <= 2
    assert 2 < most["many"] <= 6
    assert len(rows) > 50
    assert len(set(rows["arrival"])) == len(rows)
    assert len(driver.made) == 6
    assert driver.open == 0


@pytest.mark.parametrize("model", ["open", *Connections])
async def test_operations_that_only_read_use_the_replicas(model: str) -> None:
    closed = Traffic(phases=(Users(name="few", at_s=0, for_s=0.2, users=3),), mix={"craft": 1.0, "view": 1.0})
    connections = Connections(model) if model != "open" else Connections.POOL
    replica = FakeDriver()
    crowd, _, primary = make(
        replace(OPEN, mix={"craft": 1.0, "view": 1.0}) if model == "open" else closed,
        Application(pool_size=8, reader_pool_size=2, connections=connections),
        readers=Readers(lambda dsn: replica, ["replica"], fallback="primary"),
        reading=("view",),
    )
    used: dict[str, set[Any]] = {"craft": set(), "view": set()}

    async def craft(db: Any, arrival: Arrival) -> None:
        used["craft"].add(db)
        await asyncio.sleep(0.001)

    async def view(db: Any, arrival: Arrival) -> None:
        used["view"].add(db)
        await asyncio.sleep(0.001)

    operations: dict[str, Operation] = {"craft": craft, "view": view}
    origin = monotonic_ns() + 5_000_000
    if model == "open":
        await crowd.arrive(origin, operations)
    else:
        for number in range(3):
            crowd.begin_user(number, origin, operations)
        await asyncio.sleep(0.3)
    await crowd.finish(1.0)
    assert used == {"craft": set(primary.made), "view": set(replica.made)}
    most = 3 if model == Connections.PER_USER else 2
    assert 1 <= len(replica.made) <= most
    assert (primary.open, replica.open) == (0, 0)


async def test_news_of_replicas_move_the_reads() -> None:
    servers = {"primary": FakeDriver(), "first": FakeDriver()}
    crowd, recorder, _ = make(
        application=Application(pool_size=2, reader_pool_size=2),
        readers=Readers(servers.__getitem__, [], fallback="primary"),
        reading=("craft",),
    )
    used: list[bool] = []

    async def view(db: Any, arrival: Arrival) -> None:
        used.append(db in servers["first"].made)
        if len(used) == 60:
            await crowd.use_readers(["first"])
        await asyncio.sleep(0.001)

    rows = await carry(crowd, recorder, view)
    assert set(outcomes(rows, recorder)) == {"ok"}
    assert not any(used[:60])
    assert all(used[62:]), "but those that had their connection when the news came"
