"""Stretches of a run's time that a criterion is about, seconds since the origin."""

from __future__ import annotations

from dataclasses import dataclass

from harness.record.reader import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of a run's time, seconds since the origin."""

    begin_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """How long it is."""
        return max(0.0, self.end_s - self.begin_s)


def traffic_window(run: Run) -> Window:
    """From the origin to the end of the traffic, or to where the run was broken off."""
    end_s = float(run.meta["ends_s"])
    finished = run.finished
    if finished is not None and finished.get("at_s") is not None:
        end_s = min(end_s, float(finished["at_s"]))
    return Window(begin_s=0.0, end_s=max(0.0, end_s))


def phase_window(run: Run, phase: str) -> Window:
    """A phase's stretch of time, or what of it there was before the run was broken off."""
    found = next(entry for entry in run.meta["phases"] if entry["name"] == phase)
    begin_s, end_s = float(found["at_s"]), float(found["at_s"] + found["for_s"])
    return Window(begin_s=begin_s, end_s=min(end_s, max(begin_s, traffic_window(run).end_s)))
