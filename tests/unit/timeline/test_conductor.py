"""Steps take place at their times, and all that was done is undone, whatever happens in between."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from harness.errors import StackError
from harness.model import (
    AddReplica,
    Constant,
    CutOff,
    Kill,
    Pause,
    RunProgram,
    Sample,
    SetCpus,
    Step,
    Stop,
    Traffic,
)
from harness.probes.sampler import Tick
from harness.timeline import performer as performing
from harness.timeline.performers import check_possible
from tests.unit.timeline.bed import Bed, addresses, endpoint

LIMIT_S = 20.0


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not true():
            await asyncio.sleep(0.005)


def tick(at_s: float, blocked: float) -> Tick:
    return Tick(
        probe="blocking",
        at_s=at_s,
        took_s=0.0,
        samples=[Sample(at_s=at_s, metric="flashcrowd_blocked_sessions", value=blocked)],
    )


async def test_a_step_is_carried_out_at_its_time_and_undone_after_it(bed: Bed) -> None:
    async with bed.conductor(Step(at_s=0.05, for_s=0.6, action=Pause(server="postgres"))) as conductor:
        await until(lambda: bed.calls == ["pause postgres"])
        await until(conductor.in_force)
        assert conductor.in_force() == "pause postgres"
        await until(lambda: bed.calls[1:] == ["resume postgres"] and not conductor.in_force())
    assert bed.edges() == [(1, "begin"), (1, "end"), (1, "undone")]
    begin, undone = bed.of(1, "begin"), bed.of(1, "undone")
    assert begin["at_s"] >= 0.05 and undone["at_s"] >= begin["at_s"] + 0.6
    assert begin["fields"] == {"step": 1, "action": "pause", "server": "postgres", "edge": "begin"}
    assert undone["fields"]["at_end"] is False
    assert "took_s" in bed.of(1, "end")["fields"]
    assert conductor.all_undone


async def test_what_is_left_is_undone_in_reverse_order(bed: Bed) -> None:
    steps = [
        Step(at_s=0.0, action=SetCpus(server="postgres", cpus=3)),
        Step(at_s=0.02, action=Stop(server="postgres")),
        Step(at_s=0.04, action=Kill(server="other")),
    ]
    async with bed.conductor(*steps):
        await until(lambda: len(bed.edges()) == 6)
    assert bed.calls[3:] == ["start other", "start postgres", "set_cpus 1 postgres"]
    assert all(bed.of(number, "undone")["fields"]["at_end"] for number in (1, 2, 3))


async def test_a_failing_undo_stands_in_no_others_way(bed: Bed) -> None:
    steps = [
        Step(at_s=0.0, action=SetCpus(server="other", cpus=3)),
        Step(at_s=0.02, action=Pause(server="postgres")),
    ]
    bed.server().fails.add("resume")
    async with bed.conductor(*steps) as conductor:
        await until(lambda: len(bed.edges()) == 4)
    assert bed.calls[2:] == ["resume postgres", "set_cpus 1 other"]
    assert not conductor.all_undone
    (warning,) = [one["text"] for one in bed.events() if one["kind"] == "warning"]
    assert warning == "pause postgres could not be undone: postgres does not resume"


async def test_an_undoing_that_hangs_is_given_up_on(bed: Bed) -> None:
    steps = [
        Step(at_s=0.0, action=Pause(server="postgres")),
        Step(at_s=0.02, action=RunProgram(arguments=("true",), undo=("sleep", "60"))),
    ]
    async with bed.conductor(*steps, undo_limit_s=0.3) as conductor:
        await until(lambda: (2, "end") in bed.edges())
    assert not conductor.all_undone
    assert bed.calls == ["pause postgres", "resume postgres"]
    assert any("could not be undone: no end within 0.3 s" in one["text"] for one in bed.events())


async def test_a_failing_undo_in_the_middle_is_a_failed_action(bed: Bed) -> None:
    bed.server().fails.add("resume")
    async with bed.conductor(Step(at_s=0, for_s=0.5, action=Pause(server="postgres"))):
        await until(lambda: (1, "failed") in bed.edges())
    assert bed.of(1, "failed")["fields"]["undoing"] is True


async def test_an_action_that_fails_is_recorded_and_the_others_go_on(bed: Bed) -> None:
    bed.server().fails.add("stop")
    steps = [Step(at_s=0, action=Stop(server="postgres")), Step(at_s=0.05, action=Pause(server="other"))]
    async with bed.conductor(*steps) as conductor:
        await until(lambda: (2, "end") in bed.edges())
        assert conductor.failure() is None
    failed = bed.of(1, "failed")
    assert failed["fields"]["why"] == "postgres does not stop"
    assert "start postgres" not in bed.calls, "it was never down"


async def test_a_server_that_is_down_already_is_not_taken_down_again(bed: Bed) -> None:
    steps = [Step(at_s=0, action=Pause(server="postgres")), Step(at_s=0.05, for_s=5, action=Stop(server="postgres"))]
    async with bed.conductor(*steps):
        await until(lambda: (2, "failed") in bed.edges())
    assert bed.calls == ["pause postgres", "resume postgres"]
    assert "is away already" in bed.of(2, "failed")["text"]


async def test_all_is_undone_when_the_run_breaks(bed: Bed) -> None:
    with pytest.raises(RuntimeError, match="something broke"):
        async with bed.conductor(Step(at_s=0, action=Pause(server="postgres"))):
            await until(lambda: (1, "end") in bed.edges())
            raise RuntimeError("something broke")
    assert bed.calls == ["pause postgres", "resume postgres"]


async def test_all_is_undone_when_the_run_is_cancelled_again_and_again(bed: Bed) -> None:
    inside = asyncio.Event()

    async def run() -> None:
        async with bed.conductor(
            Step(at_s=0, action=RunProgram(arguments=("true",), undo=("sleep", "0.3"))),
            Step(at_s=0, action=Pause(server="postgres")),
        ):
            await until(lambda: len([edge for edge in bed.edges() if edge[1] == "end"]) == 2)
            inside.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(run())
    await inside.wait()
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bed.calls == ["pause postgres", "resume postgres"]
    assert (1, "undone") in bed.edges()


async def test_a_condition_is_waited_for(bed: Bed) -> None:
    step = Step(when="postgres.blocked >= 5 for 200ms during burst", action=Pause(server="postgres"))
    async with bed.conductor(step) as conductor:
        for number, blocked in enumerate([9, 2, 5, 6]):
            conductor.see(tick(number / 10, blocked))
        await asyncio.sleep(0.05)
        assert bed.edges() == [], "not long enough"
        conductor.see(tick(0.4, 7))
        await until(lambda: (1, "end") in bed.edges())
        conductor.see(tick(0.5, 7))
    assert bed.edges() == [(1, "begin"), (1, "end"), (1, "undone")]
    assert bed.of(1, "begin")["text"].startswith("pause postgres, as postgres.blocked >= 5 for 200ms during burst")


async def test_a_condition_that_never_came_true_is_said_so(bed: Bed) -> None:
    short = Traffic(phases=(Constant(name="burst", at_s=0, for_s=0.2, per_s=1),), mix={"ask": 1})
    step = Step(when="max(postgres.blocked) > 5", action=Pause(server="postgres"))
    async with bed.conductor(step, traffic=short) as conductor:
        conductor.see(tick(0.1, 5))
        await asyncio.sleep(0.3)
        conductor.see(tick(0.3, 50))  # the traffic is over
        await asyncio.sleep(0.05)
    assert bed.calls == []
    assert bed.of(1, "never")["fields"]["why"] == "max(postgres.blocked) > 5 never came true"


async def test_a_step_that_the_run_did_not_get_to_is_said_so(bed: Bed) -> None:
    async with bed.conductor(Step(at_s=15, action=Pause(server="postgres"))):
        pass
    assert bed.of(1, "never")["fields"]["why"] == "the run ended before"


async def test_a_late_action_says_so(bed: Bed) -> None:
    conductor = bed.conductor(Step(at_s=0, action=Pause(server="postgres")))
    await asyncio.sleep(0.6)  # as if the machine had stood still
    async with conductor:
        await until(lambda: (1, "end") in bed.edges())
    begin = bed.of(1, "begin")
    assert begin["fields"]["late_s"] >= 0.6
    assert "s late)" in begin["text"]


async def test_an_action_that_takes_too_long_is_given_up_on(bed: Bed) -> None:
    async with bed.conductor(Step(at_s=0, limit_s=0.2, action=RunProgram(arguments=("sleep", "60")))):
        await until(lambda: (1, "failed") in bed.edges())
    assert bed.of(1, "failed")["fields"]["why"] == "was not done within 0.2 s"


async def test_an_action_under_way_at_the_end_is_no_failure(bed: Bed) -> None:
    steps = [
        Step(at_s=0, for_s=0.2, action=RunProgram(arguments=("sleep", "60"))),
        Step(at_s=0, action=RunProgram(arguments=("sleep", "61"))),
    ]
    async with bed.conductor(*steps):
        await until(lambda: (1, "unfinished") in bed.edges())
    assert "when its time was over" in bed.of(1, "unfinished")["text"]
    assert "when the run ended" in bed.of(2, "unfinished")["text"]
    assert not [edge for edge in bed.edges() if edge[1] == "failed"]


async def test_a_replica_joins_the_readers_and_its_stages_are_timed(bed: Bed) -> None:
    async with bed.conductor(Step(at_s=0, action=AddReplica())):
        await until(lambda: (1, "end") in bed.edges())
    end = bed.of(1, "end")["fields"]
    assert end["server"] == "postgres-replica-9"
    assert [name for name, _ in end["stages"]] == ["base backup", "replay", "joined the readers"]
    assert end["stages"][:2] == [["base backup", 1.5], ["replay", 0.25]]
    assert bed.readers == addresses(bed.stack.replicas)
    assert (1, "undone") not in bed.edges(), "it stays until the stack is reset"


async def test_a_defect_breaks_the_run_and_all_is_undone_first(bed: Bed) -> None:
    def defect() -> None:
        raise ZeroDivisionError

    bed.server("other").stop = defect  # type: ignore[method-assign]
    steps = [Step(at_s=0, action=Pause(server="postgres")), Step(at_s=0.05, action=Stop(server="other"))]
    with pytest.raises(ZeroDivisionError):
        async with bed.conductor(*steps) as conductor:
            await until(conductor.failure)
    assert bed.calls == ["pause postgres", "resume postgres"]


async def test_what_a_provider_cannot_do_is_refused_with_what_to_do(bed: Bed) -> None:
    steps = [Step(at_s=1, action=Pause(server="postgres")), Step(at_s=2, action=CutOff(server="other"))]
    bed.conductor()
    check_possible(steps[:1], bed.stack)
    with pytest.raises(StackError, match=r"step 2 of the timeline, cut off other: other: .*take --stack docker"):
        check_possible(steps, bed.stack)


def test_a_server_that_can_only_be_reached_cannot_be_paused(bed: Bed) -> None:
    bed.conductor()
    bed.stack.servers.clear()
    bed.stack.postgres = endpoint("postgres")
    with pytest.raises(StackError, match="the provider has no hold on postgres"):
        check_possible([Step(at_s=1, action=Pause(server="postgres"))], bed.stack)


async def test_a_call_that_does_not_come_back_leaves_a_stack_that_is_not_used_again(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performing, "THREAD_PATIENCE_S", 0.1)
    let_go = threading.Event()
    bed.server().stop = let_go.wait  # type: ignore[assignment,method-assign]
    try:
        async with bed.conductor(Step(at_s=0, action=Stop(server="postgres"))) as conductor:
            await until(lambda: (1, "begin") in bed.edges())
            await asyncio.sleep(0.05)
        assert not conductor.all_undone
        assert any("has not come back" in one["text"] for one in bed.events())
    finally:
        let_go.set()
    await until(lambda: not performing.calls_under_way())
