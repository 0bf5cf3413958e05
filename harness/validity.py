"""Whether the measurement can be trusted: whether the generator, the recording or the run itself was what failed.

A slow database that makes requests queue, fail or be cut off is a finding and no reason for invalidity. Each reason says
what, how much, the limit, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from harness.evaluation.samples import jitter_s, rate_begins
from harness.evaluation.statistic import percentile
from harness.evaluation.stretches import stretches
from harness.evaluation.window import traffic_window
from harness.model import Event, Outcome
from harness.neighbours import crowded_out
from harness.record.actions import away, deeds
from harness.record.points import gap_s, split
from harness.record.reader import Run

#: An arrival's own lateness is inside its response time. The fix of an incident answers in some ten milliseconds, and one
#: worker keeps its p99 of lateness below 10 ms up to 10,000 arrivals a second: above this, it was not keeping up.
LAG_P99_LIMIT_S = 0.050
#: One arrival that late is a generator that stood still: no pause of an interpreter takes so long.
LAG_MAX_LIMIT_S = 1.0
#: From here on a worker has no room for the next burst of arrivals, and lateness follows within seconds.
CPU_LIMIT = 0.90
CPU_LIMIT_FOR_S = 3.0
#: The same share by which criteria call samples too thin: what is said about the servers must have been seen.
UNSAMPLED_LIMIT = 0.20
#: A loop this late, as a share of the sampling interval, took its samples at other times than those they bear.
HARNESS_LAG_LIMIT = 0.5


def why_invalid(run: Run) -> list[str]:
    """Reasons why the run's measurement cannot be trusted, the most telling first; none if it can."""
    if run.meta.get("origin") is None:
        return [*_ending(run), "the traffic never began: there is nothing to judge; see the run's logs folder"]
    rules: tuple[Callable[[Run], Iterator[str]], ...] = (
        _server, _ending, _actions, _workers, _generator_limits, _arrivals, _lost_rows, _lag, _cpu, _sampling, _harness_lag,
    )  # fmt: skip
    return [reason for rule in rules for reason in rule(run)]


def _server(run: Run) -> Iterator[str]:
    for event in _in_state(run, "server", "died"):
        yield (
            f"a server of the stack died at {event.at_s:.1f} s ({event.text}): what follows is no measurement of it; "
            "its last lines are in the run's logs folder"
        )


def _ending(run: Run) -> Iterator[str]:
    finished = run.finished
    if finished is None:
        yield "the harness was killed before the run ended: the record stops there; run it again"
    elif finished.get("status") == "interrupted":
        why = finished.get("why") or "interrupted"
        yield f"the run was interrupted ({why}): not all of its traffic took place; run it to its end"
    elif finished.get("status") != "completed":
        why = finished.get("why") or "no reason was recorded"
        yield f"the run broke ({why}): not all of its traffic took place; see the run's logs folder"


def _actions(run: Run) -> Iterator[str]:
    for deed in deeds(run):
        if deed.failed is not None:
            yield (
                f"step {deed.step} of the timeline, {deed.what}, failed ({deed.failed}): what was measured is not what was "
                "declared; put right what it names, and run it again"
            )


def _workers(run: Run) -> Iterator[str]:
    died = {event.fields.get("worker"): event for event in _in_state(run, "worker", "died")}
    done = {event.fields.get("worker") for event in _in_state(run, "worker", "done")}
    for worker, event in died.items():
        yield (
            f"load worker {worker} died at {event.at_s:.1f} s ({event.text}): its share of the traffic is missing; "
            "see its output in the run's logs folder"
        )
    missing = [worker for worker in range(int(run.meta["workers"])) if worker not in done and worker not in died]
    if missing:
        names = ", ".join(map(str, missing))
        yield (
            f"load {'worker' if len(missing) == 1 else 'workers'} {names} of {run.meta['workers']} never said that the "
            "traffic was over: requests may be missing; see the output in the run's logs folder"
        )


def _generator_limits(run: Run) -> Iterator[str]:
    advice = {
        Outcome.OUT_OF_DESCRIPTORS: "raise the limit on open files (ulimit -n)",
        Outcome.OUT_OF_PORTS: "widen the range of local ports, or use fewer new connections",
        Outcome.OVER_CAP: "use more workers (--workers), or a lower rate (--rate)",
    }
    rows = run.query(
        "SELECT outcome, count(*), min(finished_s) FROM requests WHERE list_contains(?, outcome) GROUP BY 1 ORDER BY 1",
        [list(Outcome.GENERATOR_LIMITS)],
    )
    for outcome, count, first_s in rows:
        yield (
            f"{count:,} {'request' if count == 1 else 'requests'} ended as {outcome}, the first at {first_s:.1f} s: the generator's own limit, where none "
            f"may be reached; {advice[outcome]}"
        )
    recorded = {outcome for outcome, _, _ in rows}
    for event in _in_state(run, "worker", "done"):
        if event.fields.get("cap_reached") and Outcome.OVER_CAP not in recorded:
            yield (
                f"load worker {event.fields.get('worker')} reached its cap on requests in flight, which it may not; "
                f"{advice[Outcome.OVER_CAP]}"
            )


def _arrivals(run: Run) -> Iterator[str]:
    """Open model: every scheduled arrival must have a row, however it ended. One that stopped early says so already."""
    if not run.meta["open"] or run.finished is None or run.finished.get("status") != "completed":
        return
    rows = run.query("SELECT operation, count(DISTINCT arrival) FROM requests WHERE attempt = 1 GROUP BY 1")
    recorded: dict[str, int] = dict(rows)
    short = {
        operation: (recorded.get(operation, 0), int(scheduled))
        for operation, scheduled in run.meta["scheduled"].items()
        if recorded.get(operation, 0) < int(scheduled)
    }
    if short:
        counts = ", ".join(f"{operation} {got:,} of {scheduled:,}" for operation, (got, scheduled) in short.items())
        yield (
            f"fewer arrivals were recorded than scheduled ({counts}; all must be): the generator dropped some; "
            "use more workers (--workers), or a lower rate (--rate)"
        )


def _lost_rows(run: Run) -> Iterator[str]:
    """What a worker says it began must be among its rows."""
    rows = run.query("SELECT worker, count(DISTINCT (operation, arrival)) FROM requests WHERE attempt = 1 GROUP BY 1")
    recorded: dict[int, int] = dict(rows)
    for event in _in_state(run, "worker", "done"):
        worker, begun = event.fields.get("worker"), event.fields.get("begun")
        if not run.meta["open"] or not isinstance(worker, int) or not isinstance(begun, int):
            continue
        if recorded.get(worker, 0) < begun:
            yield (
                f"load worker {worker} began {begun:,} arrivals and recorded {recorded.get(worker, 0):,}: the record lost the "
                "others, and none may be lost; look for a full or failing disk, then run it again"
            )


def _lag(run: Run) -> Iterator[str]:
    """Arrivals begun late; waiting for the pool comes after the beginning and is the system's affair."""
    rows = run.arrays("SELECT started_ns - intended_ns AS ns FROM requests WHERE outcome <> ?", [Outcome.OVER_CAP])
    lag = np.asarray(rows["ns"], dtype=np.int64)
    if not len(lag):
        return
    worst_s = float(lag.max()) / 1e9
    p99 = percentile(lag, "p99")
    advice = crowded_out(run) or "use more workers (--workers), a lower rate (--rate), or a machine with more cores"
    advice = f"the generator was the bottleneck; {advice}"
    if p99 is not None and p99 / 1e9 > LAG_P99_LIMIT_S:
        yield (
            f"arrivals began late: p99 {p99 / 1e6:,.0f} ms after their time, where {LAG_P99_LIMIT_S * 1e3:.0f} ms are allowed "
            f"(worst {worst_s * 1e3:,.0f} ms): {advice}"
        )
    elif worst_s > LAG_MAX_LIMIT_S:
        yield f"an arrival began {worst_s:.1f} s after its time, where {LAG_MAX_LIMIT_S:g} s is allowed: {advice}"


def _cpu(run: Run) -> Iterator[str]:
    window, interval_s = traffic_window(run), float(run.meta["interval_s"])
    for labels, every in split(run, "generator.cpu"):
        within = (every.at_s > window.begin_s) & (every.at_s <= window.end_s)
        at_s, busy = every.at_s[within], every.value[within]
        begins = rate_begins(at_s, interval_s, gap_s(run))
        for begin, end in stretches(begins, at_s, busy > CPU_LIMIT, gap_s(run)):
            if end - begin >= CPU_LIMIT_FOR_S - jitter_s(interval_s):
                mean = float(busy[(at_s > begin) & (at_s <= end)].mean())
                yield (
                    f"load worker {labels.get('worker', '?')} used {mean:.0%} of a core from {begin:.0f} to {end:.0f} s, where "
                    f"{CPU_LIMIT:.0%} is allowed for less than {CPU_LIMIT_FOR_S:g} s: the generator was the bottleneck; "
                    "use more workers (--workers), or a lower rate (--rate)"
                )
                break


def _sampling(run: Run) -> Iterator[str]:
    window = traffic_window(run)
    if window.length_s <= 0:
        return
    ticks: dict[str, list[float]] = {}
    for probe, at_s in run.query("SELECT probe, at_s FROM ticks ORDER BY at_s"):
        ticks.setdefault(probe, []).append(at_s)
    since = {probe: times[0] for probe, times in ticks.items()}
    for event in run.events("gap"):
        probe = str(event.fields.get("probe", "?"))
        ticks.setdefault(probe, [])
        since[probe] = min(since.get(probe, event.at_s), float(str(event.fields.get("from_s", event.at_s))))
    if not ticks:
        yield "nothing was sampled: no probe ticked even once; see the events and the run's logs folder"
    for probe, times in sorted(ticks.items()):
        # A server that joined has a probe from then on; one that was there from the beginning ticks then, or has a gap.
        begin_s = max(window.begin_s, since[probe])
        unseen = _unseen(times, begin_s, window.end_s, away(run), gap_s(run))
        if unseen > UNSAMPLED_LIMIT:
            yield (
                f"probe {probe} measured nothing during {unseen:.0%} of the traffic, where {UNSAMPLED_LIMIT:.0%} is allowed"
                f"{_why_gaps(run, probe)}: free the harness's core, or sample less often (--interval)"
            )


def _unseen(
    times: Sequence[float], begin_s: float, end_s: float, away_s: list[tuple[float, float]], gap: float
) -> float:
    """The share of a time that lies in gaps between samples. A time at which a server was away on purpose is left out, of the
    gaps and of the whole.

    >>> _unseen([0, 1, 2, 3, 8, 9], 0, 10, [], 2.5), _unseen([0, 1, 2, 3, 8, 9], 0, 10, [(3.5, 7)], 2.5)
    (0.5, 0.0)
    """

    def present(from_s: float, to_s: float) -> float:
        return (to_s - from_s) - sum(max(0.0, min(back, to_s) - max(gone, from_s)) for gone, back in away_s)

    edges = [begin_s, *(at_s for at_s in times if begin_s < at_s < end_s), end_s]
    steps = [present(before, after) for before, after in pairwise(edges)]
    whole_s = present(begin_s, end_s)
    return sum(step for step in steps if step > gap) / whole_s if whole_s > 0 else 0.0


def _why_gaps(run: Run, probe: str) -> str:
    reasons = [
        str(event.fields["reason"])
        for event in run.events("gap")
        if event.fields.get("probe") == probe and event.fields.get("reason")
    ]
    return f" ({max(set(reasons), key=reasons.count)})" if reasons else ""


def _harness_lag(run: Run) -> Iterator[str]:
    window, limit_s = traffic_window(run), HARNESS_LAG_LIMIT * float(run.meta["interval_s"])
    rows = run.arrays(
        "SELECT value FROM samples WHERE metric = 'flashcrowd_harness_loop_lag_seconds' AND at_s >= ? AND at_s < ?",
        [window.begin_s, window.end_s],
    )
    late = np.asarray(rows["value"], dtype=np.float64) > limit_s
    if len(late) and late.mean() > UNSAMPLED_LIMIT:
        yield (
            f"the harness's event loop was more than {limit_s * 1e3:.0f} ms late at {late.mean():.0%} of its samples, where "
            f"{UNSAMPLED_LIMIT:.0%} is allowed: samples are not of the times they bear; free the harness's core, or sample "
            "less often (--interval)"
        )


def _in_state(run: Run, kind: str, state: str) -> list[Event]:
    return [event for event in run.events(kind) if event.fields.get("state") == state]
