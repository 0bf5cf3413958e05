"""A criterion that is waited for: held, at each tick, against what was sampled so far."""

from __future__ import annotations

import numpy as np

from harness.evaluation.evidence import each_holds
from harness.evaluation.samples import jitter_s, rate_begins
from harness.evaluation.stretches import stretches
from harness.model import Criterion, Traffic
from harness.probes.sampler import Tick
from harness.record.points import gap_s, points
from harness.record.reader import Points
from harness.series import BY_NAME, Kind
from harness.timeline.live import LiveSamples

#: Besides the stretch that it is about: enough to find the sample before it, and what a value is a share of.
_KEEP_S = 60.0


class Condition:
    """One criterion, until it comes true.

    :param interval_s: the sampler's
    """

    def __init__(self, criterion: Criterion, traffic: Traffic, interval_s: float) -> None:
        self._criterion = criterion
        series = BY_NAME[criterion.series]
        self._kind = series.kind
        self._begin_s, self._end_s = 0.0, traffic.ends_s
        for phase in traffic.phases:
            if phase.name == criterion.phase:
                self._begin_s, self._end_s = phase.at_s, phase.at_s + phase.for_s
        self._metrics = {series.metric, *([series.per] if series.per else ())}
        keep_s = None if series.kind is Kind.TOTAL else max(criterion.for_s or 0.0, 5 * interval_s) + _KEEP_S
        self._probes: set[str] = set()
        self._samples = LiveSamples(self._metrics, interval_s, keep_s)

    def concerns(self, tick: Tick) -> bool:
        """Whether a tick says something of it."""
        if any(sample.metric in self._metrics for sample in tick.samples):
            self._probes.add(tick.probe)
        # A probe that counts by groups gives no sample where it counted nobody, which says something too.
        return tick.probe in self._probes

    def holds(self, tick: Tick) -> bool:
        """Whether it is true with this tick. Ticks in order of time; may take some milliseconds."""
        self._samples.add(tick)
        found = points(self._samples, self._criterion.series)
        if self._kind is Kind.TOTAL:
            return self._gained(found)
        # A rate's point is about the time before it, so one at the begin is not about the window.
        rate = self._kind is Kind.RATE
        good = (found.at_s > self._begin_s) if rate else (found.at_s >= self._begin_s)
        good &= found.at_s <= self._end_s
        at_s, value = found.at_s[good], found.value[good]
        if not len(at_s):
            return False
        true = each_holds(self._criterion, value)
        if self._criterion.for_s is None:
            return bool(true[-1])
        interval_s, gap = float(self._samples.meta["interval_s"]), gap_s(self._samples)
        begins = np.maximum(rate_begins(at_s, interval_s, gap), self._begin_s) if rate else at_s
        least_s = self._criterion.for_s - jitter_s(interval_s)
        return any(end - begin >= least_s for begin, end in stretches(begins, at_s, true, gap))

    def close(self) -> None:
        """Forget the samples."""
        self._samples.close()

    def _gained(self, found: Points) -> bool:
        """Whether a counter gained that much since the window's begin."""
        if not len(found.at_s) or found.at_s[-1] > self._end_s:
            return False
        at_begin = max(int(np.searchsorted(found.at_s, self._begin_s, side="right")) - 1, 0)
        return bool(each_holds(self._criterion, found.value[-1:] - found.value[at_begin])[0])
