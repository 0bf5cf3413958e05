"""The schedule is absolute, ticks of a probe never overlap, and what was missed is a gap and nothing else."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.clock import Origin
from harness.errors import RecordingError, UsageError
from harness.model import Sample
from harness.probes.probe import Unmeasured
from harness.probes.sampler import LATE, Sampler, Tick
from harness.record.writer import EventWriter, SampleWriter

Behaviour = Callable[[int], Awaitable[None]]


class FakeProbe:
    """Gives the number of its call as a sample, after doing what the test wants."""

    def __init__(self, name: str = "fake", behaviour: Behaviour | None = None) -> None:
        self._name = name
        self._behaviour = behaviour
        self.calls = 0
        self.running = 0
        self.overlapped = False

    @property
    def name(self) -> str:
        return self._name

    async def sample(self, at_s: float) -> Sequence[Sample]:
        self.calls += 1
        number = self.calls
        self.overlapped |= self.running > 0
        self.running += 1
        try:
            if self._behaviour is not None:
                await self._behaviour(number)
        finally:
            self.running -= 1
        return [Sample(at_s=at_s, metric="call", value=float(number))]

    async def close(self) -> None:
        """Nothing to release."""


class Recording:
    """A run folder's writers and what stands in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples = SampleWriter(folder)
        self.events = EventWriter(folder)

    def ticks(self, probe: str = "fake") -> list[dict[str, Any]]:
        return [line for line in self._lines("samples") if line["probe"] == probe]

    def gaps(self, probe: str = "fake") -> list[dict[str, Any]]:
        return [line for line in self._lines("events") if line["kind"] == "gap" and line["fields"]["probe"] == probe]

    def _lines(self, stem: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / f"{stem}.jsonl").read_text().splitlines()]


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    made = Recording(tmp_path)
    yield made
    made.samples.close()
    made.events.close()


async def run_until(
    recording: Recording, probes: Sequence[FakeProbe], done: Callable[[], bool], *, begin_s: float = 0.0
) -> Sampler:
    """Sample at 10 Hz until ``done``, asked after each tick and every moment."""
    sampler = Sampler(probes, recording.samples, recording.events, Origin.after(-begin_s), 0.1)
    stop = asyncio.Event()

    async def watch() -> None:
        while not done():
            await asyncio.sleep(0.005)
        stop.set()

    async with asyncio.timeout(20):
        await asyncio.gather(sampler.run(stop), watch())
    return sampler


async def test_ticks_are_due_at_multiples_of_the_interval(recording: Recording) -> None:
    probe = FakeProbe()
    await run_until(recording, [probe], lambda: probe.calls >= 6, begin_s=-0.25)
    times = [tick["at_s"] for tick in recording.ticks()]
    assert times[0] < 0, "sampling begins before the traffic does"
    numbers = [math.floor(at_s / 0.1 + 1e-3) for at_s in times]
    missed = sum(gap["fields"].get("missed", 0) for gap in recording.gaps())
    assert numbers == sorted(set(numbers)), "no tick is taken twice"
    assert numbers[-1] - numbers[0] + 1 == len(times) + missed, "each due tick was taken or is said to be missed"
    assert [tick["samples"][0][2] for tick in recording.ticks()] == list(range(1, len(times) + 1))


async def test_a_slow_probe_delays_no_other_and_never_overlaps_itself(recording: Recording) -> None:
    async def slow(_: int) -> None:
        await asyncio.sleep(0.35)

    stuck, quick = FakeProbe("stuck", slow), FakeProbe("quick")
    await run_until(recording, [stuck, quick], lambda: stuck.calls >= 3)
    assert not stuck.overlapped
    assert quick.calls >= 7
    assert [gap["fields"]["reason"] for gap in recording.gaps("stuck")][:1] == [LATE]
    assert all(tick["took_s"] >= 0.35 for tick in recording.ticks("stuck"))


async def test_misses_in_a_row_are_one_gap(recording: Recording) -> None:
    async def fail(number: int) -> None:
        if 2 <= number <= 4:
            raise Unmeasured("the thing is gone")

    probe = FakeProbe(behaviour=fail)
    await run_until(recording, [probe], lambda: len(recording.ticks()) >= 3)
    begin, end = (gap for gap in recording.gaps() if "gone" in gap["fields"]["reason"])
    assert (begin["fields"]["edge"], end["fields"]["edge"]) == ("begin", "end")
    assert end["fields"]["missed"] >= 3
    assert end["fields"]["for_s"] == pytest.approx(end["at_s"] - begin["at_s"], abs=1e-5)
    inside = [tick for tick in recording.ticks() if begin["at_s"] <= tick["at_s"] < end["at_s"]]
    assert inside == [], "nothing stands in place of what was not measured"


async def test_another_reason_is_another_gap(recording: Recording) -> None:
    async def fail(number: int) -> None:
        if number == 1:
            raise ConnectionRefusedError("refused")
        if number == 2:
            raise Unmeasured("starting up")

    probe = FakeProbe(behaviour=fail)
    await run_until(recording, [probe], lambda: len(recording.ticks()) >= 1)
    reasons = [(gap["fields"]["edge"], gap["fields"]["reason"]) for gap in recording.gaps()]
    expected = ["ConnectionRefusedError: refused", "Unmeasured: starting up"]
    assert [reason for _, reason in reasons if reason != LATE] == [expected[0], expected[0], expected[1], expected[1]]


async def test_a_tick_that_does_not_return_is_cut_off_at_its_limit(recording: Recording) -> None:
    async def hang(number: int) -> None:
        if number == 1:
            await asyncio.Event().wait()

    probe = FakeProbe(behaviour=hang)
    await run_until(recording, [probe], lambda: len(recording.ticks()) >= 1)
    begin, end = recording.gaps()[:2]
    assert begin["fields"]["reason"] == "no answer within 1 s"
    assert end["fields"]["missed"] >= 9, "the ticks that went by meanwhile belong to the same gap"


async def test_a_gap_that_is_open_at_the_end_is_ended(recording: Recording) -> None:
    async def fail(_: int) -> None:
        raise Unmeasured("never there")

    probe = FakeProbe(behaviour=fail)
    sampler = await run_until(recording, [probe], lambda: probe.calls >= 2)
    assert [gap["fields"]["edge"] for gap in recording.gaps()] == ["begin", "end"]
    assert dict(sampler.latest) == {}


async def test_stopping_does_not_wait_for_what_hangs(recording: Recording) -> None:
    async def hang(_: int) -> None:
        await asyncio.Event().wait()

    probe = FakeProbe(behaviour=hang)
    sampler = Sampler([probe], recording.samples, recording.events, Origin.after(0.1), 60.0)
    stop = asyncio.Event()
    running = asyncio.create_task(sampler.run(stop))
    async with asyncio.timeout(20):  # the tick's own limit is a minute
        while not probe.running:
            await asyncio.sleep(0.01)
        stop.set()
        await running
    assert [gap["fields"]["edge"] for gap in recording.gaps()] == ["begin", "end"]


async def test_the_latest_tick_is_kept_and_only_that(recording: Recording) -> None:
    seen: list[Tick] = []
    probe = FakeProbe()
    sampler = Sampler(
        [probe], recording.samples, recording.events, Origin.after(0), 1.0, on_tick=lambda tick: seen.append(tick)
    )
    await sampler.once()
    await sampler.once()
    assert [tick.samples[0].value for tick in seen] == [1.0, 2.0]
    assert sampler.latest["fake"] is seen[-1]
    assert len(recording.ticks()) == 2


async def test_a_defect_of_a_probe_is_not_a_gap(recording: Recording) -> None:
    async def broken(_: int) -> None:
        raise KeyError("column")

    with pytest.raises(KeyError, match="column"):
        await run_until(recording, [FakeProbe(behaviour=broken), FakeProbe("other")], lambda: False)


async def test_a_recording_that_fails_ends_the_sampling(recording: Recording) -> None:
    probe = FakeProbe()
    recording.samples.close()
    with pytest.raises(RecordingError):
        await run_until(recording, [probe], lambda: False)


@pytest.mark.parametrize("interval_s", [0.0, 0.05, 61.0, float("nan")])
def test_an_interval_out_of_bounds_is_refused(recording: Recording, interval_s: float) -> None:
    with pytest.raises(UsageError, match=r"must be 0\.1 to 60 s"):
        Sampler([], recording.samples, recording.events, Origin.after(0), interval_s)
