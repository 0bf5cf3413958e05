"""A sampled series as points over time, made from what the probes wrote; see :mod:`harness.series` for its definition.

A missed tick leaves no point: whoever draws or judges the points sees the gap by their distance, nothing is filled in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.model import Labels
from harness.record.reader import Points, Run
from harness.series import BY_NAME, Combine, Kind, Series

Floats = NDArray[np.float64]

#: Metrics with one sample per group that is not empty: a tick that wrote other metrics but no such sample counted nobody.
COUNTED_BY_GROUP = frozenset({"pg_stat_activity_count"})

#: What these labels tell apart is sampled by a probe each, so at one tick but not to the microsecond at one instant.
_ASKED_APART = ("worker", "server", "member")

#: Samples further apart than this many intervals have a gap between them: one late tick is none, one missed tick and a
#: late one are.
GAP_INTERVALS = 2.5


def points(run: Run, name: str) -> Points:
    """A sampled series over the whole run, warm-up and drain included, in order of time.

    A gauge has a point per tick. A rate has a point per pair of consecutive ticks, at the later one: the mean over the time
    between them; where the counter fell (its server restarted) there is none. A total is the increase since the first tick:
    its last point is the increase over the run, a lower bound if :func:`was_reset`.

    :raises UsageError: no sampled series of that name
    """
    return _points(run, _series(name))


def points_by(run: Run, series: Series, label: str) -> dict[str, Points]:
    """A series as :func:`points` has it, but apart for each value of a label: of each server, for example."""
    values = {own[label]: None for own, _ in _raw(run, series.metric, series.labels) if label in own}
    found = {value: _points(run, replace(series, labels={**series.labels, label: value})) for value in sorted(values)}
    return {value: each for value, each in found.items() if len(each.at_s)}


def _points(run: Run, series: Series) -> Points:
    parts = _split(run, series)
    if series.kind is not Kind.GAUGE and not parts:
        return _empty()
    if series.per is None:
        return _combined(run, series, parts)
    if series.combine is Combine.MAX:
        return _combined(run, series, [(own, _divided(run, series, part, own)) for own, part in parts])
    return _divided(run, series, _combined(run, series, parts), series.labels)


def split(run: Run, name: str) -> list[tuple[Labels, Points]]:
    """The same, one entry per combination of labels and neither combined nor divided: which worker it was, for example.

    :raises UsageError: no sampled series of that name
    """
    return _split(run, _series(name))


def _split(run: Run, series: Series) -> list[tuple[Labels, Points]]:
    make = {Kind.GAUGE: lambda raw: raw, Kind.RATE: _rate, Kind.TOTAL: _increase}[series.kind]
    return [(labels, make(raw)) for labels, raw in _raw(run, series.metric, series.labels)]


def was_reset(run: Run, name: str) -> bool:
    """Whether a counter behind the series fell during the run: what it had counted and nobody had read is lost."""
    series = _series(name)
    if series.kind is Kind.GAUGE:
        return False
    return any(bool((np.diff(raw.value) < 0).any()) for _, raw in _raw(run, series.metric, series.labels))


def gap_s(run: Run) -> float:
    """Distance between two samples from which on there is a gap between them, in seconds."""
    return GAP_INTERVALS * float(run.meta.get("interval_s", 1.0))


def _series(name: str) -> Series:
    try:
        return BY_NAME[name]
    except KeyError:
        raise UsageError(f"{name!r} is no sampled series; `flashcrowd list --series` shows those there are") from None


def _raw(run: Run, metric: str, labels: Labels) -> list[tuple[Labels, Points]]:
    """The metric's samples whose labels fit, one entry per combination of labels, each in order of time."""
    found = run.query("SELECT DISTINCT labels FROM samples WHERE metric = ? ORDER BY labels", [metric])
    entries = []
    for (text,) in found:
        own = json.loads(text or "{}")
        if not fits(own, labels):
            continue
        rows = run.arrays(
            "SELECT at_s, value FROM samples WHERE metric = ? AND labels = ? AND value IS NOT NULL ORDER BY at_s",
            [metric, text],
        )
        entries.append((own, Points(at_s=np.asarray(rows["at_s"], float), value=np.asarray(rows["value"], float))))
    return entries


def fits(own: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a sample's labels are among those wanted; a wanted value may be a ``|``-separated choice, with ``*`` for anything.

    >>> fits({"state": "idle"}, {"state": "idle|active"}), fits({}, {"state": "active"})
    (True, False)
    >>> fits({"name": "mongo-2"}, {"name": "mongo-*"}), fits({"name": "postgres"}, {"name": "mongo-*"})
    (True, False)
    >>> [fits({"name": name}, {"name": "*-*"}) for name in ("mongo-2", "load", "-")]
    [True, False, True]
    """
    return all(
        label in own and any(_is_like(own[label], one) for one in choice.split("|")) for label, choice in wanted.items()
    )


def _is_like(value: str, wanted: str) -> bool:
    if "*" not in wanted:
        return value == wanted
    return re.fullmatch(".*".join(map(re.escape, wanted.split("*"))), value, re.DOTALL) is not None


def _rate(raw: Points) -> Points:
    elapsed, gained = np.diff(raw.at_s), np.diff(raw.value)
    good = (elapsed > 0) & (gained >= 0)
    return Points(at_s=raw.at_s[1:][good], value=gained[good] / elapsed[good])


def _increase(raw: Points) -> Points:
    if not len(raw.at_s):
        return raw
    gained = np.diff(raw.value)
    # After a fall the counter began again at 0, so its value is what was gained since, at the least.
    gained = np.where(gained < 0, raw.value[1:], gained)
    return Points(at_s=raw.at_s, value=np.concatenate(([0.0], np.cumsum(gained))))


def _combined(run: Run, series: Series, parts: list[tuple[Labels, Points]]) -> Points:
    """One value per instant of all combinations of labels."""
    if series.kind is Kind.TOTAL:
        return _sum_carried(part for _, part in parts)
    if any(len({labels.get(label) for labels, _ in parts}) > 1 for label in _ASKED_APART):
        parts = _aligned(parts, float(run.meta.get("interval_s", 1.0)))
        if series.combine is Combine.SUM:
            return _sum_of_all_present(parts)
    every = [_zero_instants(run, series)] if series.metric in COUNTED_BY_GROUP else []
    every += [part for _, part in parts]
    if not every:
        return _empty()
    instants, where = np.unique(np.concatenate([part.at_s for part in every]), return_inverse=True)
    values = np.concatenate([part.value for part in every])
    if series.combine is Combine.MAX:
        result = np.full(len(instants), -np.inf)
        np.maximum.at(result, where, values)
    else:
        result = np.zeros(len(instants))
        np.add.at(result, where, values)
    return Points(at_s=instants, value=result)


def _zero_instants(run: Run, series: Series) -> Points:
    """A zero at each tick of the probe that writes the metric: the base to which the groups that were not empty are added."""
    rows = run.arrays(
        "SELECT DISTINCT at_s FROM ticks WHERE probe IN (SELECT DISTINCT probe FROM samples WHERE metric = ?) ORDER BY at_s",
        [series.metric],
    )
    at_s = np.asarray(rows["at_s"], float)
    return Points(at_s=at_s, value=np.zeros(len(at_s)))


def _aligned(parts: list[tuple[Labels, Points]], interval_s: float) -> list[tuple[Labels, Points]]:
    """The same points with their times moved to the nearest tick: they tick together, but not to the microsecond."""
    moved = []
    for labels, part in parts:
        ticks, last = np.unique(np.round(part.at_s / interval_s)[::-1], return_index=True)
        moved.append((labels, Points(at_s=ticks * interval_s, value=part.value[::-1][last])))
    return moved


def _sum_of_all_present(parts: list[tuple[Labels, Points]]) -> Points:
    """The sum over workers at ticks where none of them is missing that was there before and comes again."""
    filled = [part for _, part in parts if len(part.at_s)]
    if not filled:
        return _empty()
    instants = np.unique(np.concatenate([part.at_s for part in filled]))
    total, whole = np.zeros(len(instants)), np.ones(len(instants), dtype=bool)
    for part in filled:
        there = np.isin(instants, part.at_s)
        total[there] += part.value
        within = (instants >= part.at_s[0]) & (instants <= part.at_s[-1])
        whole &= there | ~within
    return Points(at_s=instants[whole], value=total[whole])


def _sum_carried(parts: Iterable[Points]) -> Points:
    """The sum of increases, each carried on from its latest point: an increase does not end where its samples do."""
    filled = [part for part in parts if len(part.at_s)]
    if not filled:
        return _empty()
    instants = np.unique(np.concatenate([part.at_s for part in filled]))
    total = np.zeros(len(instants))
    for part in filled:
        latest = np.searchsorted(part.at_s, instants, side="right") - 1
        total += np.where(latest >= 0, part.value[np.maximum(latest, 0)], 0.0)
    return Points(at_s=instants, value=total)


def _divided(run: Run, series: Series, value: Points, labels: Labels) -> Points:
    """The points divided by the metric that they are a share of.

    :param labels: of the points; the metric that they are divided by need not bear all of them
    """
    assert series.per is not None
    divisors = [raw for own, raw in _raw(run, series.per, {}) if fits(own, _shared(labels, own))]
    if series.per_kind is Kind.RATE:
        divisor = _sum_carried(_rate(raw) for raw in divisors)
        value = _at(value, divisor.at_s)
    else:
        divisor = _sum_carried(divisors)
    if not len(divisor.at_s) or not len(value.at_s):
        return _empty()
    # A limit that is first read a moment after what it limits, in the same tick, holds for that tick too.
    latest = np.maximum(np.searchsorted(divisor.at_s, value.at_s, side="right") - 1, 0)
    by = divisor.value[latest]
    good = by > 0
    share = np.divide(value.value, by, out=np.zeros(len(by)), where=good)
    if series.per_kind is Kind.RATE and good.any():
        good = good | (value.value == 0)  # nothing of nothing, in a moment when the counters that do count stood still
    return Points(at_s=value.at_s[good], value=share[good])


def _at(points: Points, instants: Floats) -> Points:
    """Those of the points that are of one of the instants."""
    there = np.isin(points.at_s, instants)
    return Points(at_s=points.at_s[there], value=points.value[there])


def _shared(labels: Labels, own: Labels) -> Labels:
    return {label: choice for label, choice in labels.items() if label in own}


def _empty() -> Points:
    return Points(at_s=np.empty(0), value=np.empty(0))
