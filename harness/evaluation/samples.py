"""Criteria of sampled series. What was not sampled stays unknown, unless what was sampled settles it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.evaluation.evidence import DOWNWARD, UPWARD, Evidence, each_holds, finding, holds, worst
from harness.evaluation.statistic import least_count, summary
from harness.evaluation.stretches import covered, longest_gap_free, stretches, sustained
from harness.evaluation.window import Window, phase_window, traffic_window
from harness.model import Comparator, Criterion, Finding
from harness.record.points import Floats, gap_s, points, was_reset
from harness.record.reader import Points, Run
from harness.series import BY_NAME, Kind

#: Samples must cover this share of the time that a criterion is about, or what they do not show stays unknown.
LEAST_COVERAGE = 0.8


def _sample_window(run: Run, criterion: Criterion) -> Window:
    if criterion.phase is not None:
        return phase_window(run, criterion.phase)
    traffic = traffic_window(run)
    [(last_s,)] = run.query("SELECT max(finished_s) FROM requests")
    return Window(begin_s=0.0, end_s=max(traffic.end_s, min(last_s or 0.0, traffic.end_s + float(run.meta["drain_s"]))))


def _within(series: str, every: Points, window: Window) -> Points:
    """The points of a window. A rate's point is about the time before it, so one at the begin is not, one at the end is."""
    if BY_NAME[series].kind is Kind.RATE:
        good = (every.at_s > window.begin_s) & (every.at_s <= window.end_s)
    else:
        good = (every.at_s >= window.begin_s) & (every.at_s < window.end_s)
    return Points(at_s=every.at_s[good], value=every.value[good])


def _sampled(run: Run, criterion: Criterion) -> tuple[Points, Window, float, Evidence]:
    """The points that a criterion is about, their window, the share of it that they cover, and the evidence in them."""
    window = _sample_window(run, criterion)
    got = _within(criterion.series, points(run, criterion.series), window)
    good = each_holds(criterion, got.value)
    evidence = Evidence(
        first_s=float(got.at_s[good][0]) if good.any() else None,
        worst=worst(criterion, got.value),
        count=int(good.sum()),
    )
    return got, window, covered(got.at_s, window.begin_s, window.end_s, gap_s(run)), evidence


def value_of(run: Run, criterion: Criterion, every: Points) -> float | None:
    """What a criterion would be held against had its series these points; None where they are too few, or too far apart."""
    window = _sample_window(run, criterion)
    return _value(run, criterion, _within(criterion.series, every, window), window)


def _value(run: Run, criterion: Criterion, got: Points, window: Window) -> float | None:
    if criterion.statistic is not None:
        return summary(got.value, criterion.statistic)
    assert criterion.for_s is not None
    least_s = criterion.for_s - jitter_s(float(run.meta["interval_s"]))
    upward = criterion.comparator not in DOWNWARD
    return sustained(_begins(run, criterion, got, window), got, least_s, gap_s(run), upward=upward)


def _begins(run: Run, criterion: Criterion, got: Points, window: Window) -> Floats:
    """When the time that each point is about began."""
    if BY_NAME[criterion.series].kind is not Kind.RATE:
        return got.at_s
    return np.maximum(rate_begins(got.at_s, float(run.meta["interval_s"]), gap_s(run)), window.begin_s)


def statistic_finding(run: Run, criterion: Criterion, name: str) -> Finding:
    """One statistic of a sampled series."""
    assert criterion.statistic is not None
    got, window, coverage, evidence = _sampled(run, criterion)
    if not len(got.at_s):
        return finding(criterion, name, why_unknown=_no_samples(criterion, window))
    value = _value(run, criterion, got, window)
    why = None
    if value is None:
        why = f"too few samples: {len(got.at_s)}, {criterion.statistic} needs ≥ {least_count(criterion.statistic)}"
    elif criterion.statistic == "last":
        if window.end_s - float(got.at_s[-1]) > gap_s(run):
            why = f"the last sample is of {got.at_s[-1]:.1f} s, {window.end_s - got.at_s[-1]:.1f} s before the end"
    elif coverage < LEAST_COVERAGE and not _settled(criterion, value):
        why = _thin(coverage, window)
    return finding(criterion, name, evidence, value=value, why_unknown=why)


def _settled(criterion: Criterion, value: float) -> bool:
    """Whether samples that are missing could not change the answer: a maximum that is above its limit stays above it."""
    held = holds(criterion, value)
    if criterion.statistic == "max":
        return held if criterion.comparator in UPWARD else criterion.comparator in DOWNWARD and not held
    if criterion.statistic == "min":
        return held if criterion.comparator in DOWNWARD else criterion.comparator in UPWARD and not held
    return False


def stretch_finding(run: Run, criterion: Criterion, name: str) -> Finding:
    """Whether there was a stretch of time, long enough and without a gap, at each of whose samples the comparison was true."""
    assert criterion.for_s is not None
    got, window, coverage, evidence = _sampled(run, criterion)
    if not len(got.at_s):
        return finding(criterion, name, why_unknown=_no_samples(criterion, window))
    begins = _begins(run, criterion, got, window)
    least_s = criterion.for_s - jitter_s(float(run.meta["interval_s"]))
    good = each_holds(criterion, got.value)
    long_enough = [
        (begin, end) for begin, end in stretches(begins, got.at_s, good, gap_s(run)) if end - begin >= least_s
    ]
    value = _value(run, criterion, got, window)
    if long_enough:
        return finding(criterion, name, replace(evidence, first_s=long_enough[0][0]), value=value, held=True)
    why = None
    if longest_gap_free(begins, got.at_s, gap_s(run)) < least_s:
        why = f"no {criterion.for_s:g} s without a gap between samples"
    elif coverage < LEAST_COVERAGE:
        why = _thin(coverage, window)
    return finding(criterion, name, evidence, value=value, held=False, why_unknown=why)


def jitter_s(interval_s: float) -> float:
    """How much shorter a stretch may be than asked for: ticks are late by some milliseconds, each by others."""
    return 0.1 * interval_s


def rate_begins(at_s: Floats, interval_s: float, gap: float) -> Floats:
    """When the time that each point of a rate is about began: at the tick before it, which a gap or the first one hides."""
    before = np.concatenate(([-np.inf], at_s[:-1]))
    return np.where(at_s - before <= gap, before, at_s - interval_s)


def total_finding(run: Run, criterion: Criterion, name: str) -> Finding:
    """The increase of a counter over the run, what it gained after the traffic included, or over a phase.

    Over a phase it is the difference of the latest samples at its end and at its begin; the server publishes a session's
    counts up to a second late, so the borders of a phase are not sharper than that.
    """
    every = points(run, criterion.series)
    if not len(every.at_s):
        return finding(criterion, name, why_unknown=f"{criterion.series} was not sampled")
    if criterion.phase is not None:
        window = phase_window(run, criterion.phase)
    else:
        window = Window(
            begin_s=min(0.0, float(every.at_s[0])), end_s=max(traffic_window(run).end_s, float(every.at_s[-1]))
        )
    at_begin = max(int(np.searchsorted(every.at_s, window.begin_s, side="right")) - 1, 0)
    at_end = int(np.searchsorted(every.at_s, window.end_s, side="right")) - 1
    if at_end < 0 or every.at_s[at_end] <= window.begin_s < window.end_s:
        return finding(criterion, name, why_unknown=_no_samples(criterion, window))
    gained = every.value[at_begin : at_end + 1] - every.value[at_begin]
    value = float(gained[-1])
    steps = np.flatnonzero(np.diff(gained) > 0) + 1
    first = float(every.at_s[at_begin + steps[0]]) if len(steps) else None
    held = holds(criterion, value)
    why = None
    lower_bound = _why_lower_bound(run, criterion, window, float(every.at_s[at_begin]), float(every.at_s[at_end]))
    # What is missing can only add to it: above a limit it stays above, and equal to nothing less than it is.
    settled = held if criterion.comparator in UPWARD else not held and criterion.comparator in DOWNWARD
    settled = settled or (value > criterion.limit and criterion.comparator in (Comparator.EQ, Comparator.NE))
    if lower_bound is not None and not settled:
        why = lower_bound
    evidence = Evidence(first_s=first, worst=value, count=round(value))
    return finding(criterion, name, evidence, value=value, why_unknown=why)


def _why_lower_bound(run: Run, criterion: Criterion, window: Window, first_s: float, last_s: float) -> str | None:
    """Why the increase may have been larger than what was seen; None if it was not."""
    if was_reset(run, criterion.series):
        return "the counter was reset during the run, so what it had counted is not known"
    if first_s > window.begin_s + gap_s(run):
        return f"the first sample is of {first_s:.1f} s, too late to know what was before"
    if last_s < window.end_s - gap_s(run):
        return f"the last sample is of {last_s:.1f} s, {window.end_s - last_s:.1f} s before the end"
    return None


def _no_samples(criterion: Criterion, window: Window) -> str:
    return f"{criterion.series} was not sampled between {window.begin_s:g} and {window.end_s:.1f} s"


def _thin(coverage: float, window: Window) -> str:
    return f"samples cover {coverage:.0%} of the {window.length_s:.0f} s, {LEAST_COVERAGE:.0%} are needed to say that it was not so"
