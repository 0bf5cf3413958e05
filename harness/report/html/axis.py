"""The time axis that all charts of all variants share, and what is drawn on it: phases and marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.model import Event
from harness.record import actions
from harness.record.reader import Run

#: Columns that a chart has at most: beyond, several seconds share one.
MOST_STEPS = 1200
#: Event kinds that are no marks: phases are shaded, and workers that come and go as planned are no news.
_NO_MARK = ("phase",)
#: An action that took at least this long gets a line at its end as well.
LONG_S = 1.0
_QUIET_WORKER_STATES = ("ready", "done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Seconds since the origin, cut into steps.

    :param steps: how many steps of ``step_s`` there are, the first from 0
    """

    step_s: int
    steps: int

    @property
    def end_s(self) -> int:
        """Where the axis ends."""
        return self.step_s * self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A phase of the traffic."""

    name: str
    begin_s: float
    end_s: float
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An event that is drawn as a line. ``number`` leads from the line to the list."""

    number: int
    at_s: float
    kind: str
    text: str


def axis_of(runs: Sequence[Run]) -> Axis:
    """The axis that holds every run's traffic and last answer."""
    end = max([1.0, *(known_until_s(run) for run in runs), *(_planned_end_s(run) for run in runs)])
    step = max(1, math.ceil(end / MOST_STEPS))
    return Axis(step_s=step, steps=math.ceil(end / step))


def known_until_s(run: Run) -> float:
    """Until when the run's folder says what happened: its last answer, or the end of its traffic if it got so far."""
    last = run.query("SELECT greatest(max(finished_ns), max(intended_ns)) / 1e9 FROM requests")[0][0] or 0.0
    if run.finished is not None and run.finished.get("status") == "completed":
        return max(float(last), _planned_end_s(run))
    sampled = run.query("SELECT max(at_s) FROM ticks")[0][0] or 0.0
    ended = (run.finished or {}).get("at_s") or sampled
    return max(float(last), min(float(ended), _planned_end_s(run) or float(ended)))


def bands(run: Run) -> list[Band]:
    """The phases as they were declared."""
    return [
        Band(
            name=str(phase.get("name", "")),
            begin_s=float(phase.get("at_s", 0.0)),
            end_s=float(phase.get("at_s", 0.0)) + float(phase.get("for_s", 0.0)),
            what=_what(phase),
        )
        for phase in run.meta.get("phases") or ()
    ]


def marks(run: Run) -> list[Mark]:
    """Events worth a line, in order of time."""
    events = [event for event in run.events() if _is_mark(event)]
    return [
        Mark(number=number, at_s=event.at_s, kind=event.kind, text=event.text)
        for number, event in enumerate(events, start=1)
    ]


def _is_mark(event: Event) -> bool:
    if event.kind == actions.KIND and not _is_moment(event):
        return False
    return event.kind not in _NO_MARK and not (
        event.kind == "worker" and event.fields.get("state") in _QUIET_WORKER_STATES
    )


def _is_moment(event: Event) -> bool:
    """Whether a part of an action is worth a line of its own: its end is where it was not done in a moment."""
    if event.fields.get("edge") == "never":
        return False
    took_s = event.fields.get("took_s")
    return event.fields.get("edge") != "end" or (isinstance(took_s, int | float) and took_s >= LONG_S)


def _planned_end_s(run: Run) -> float:
    return float(run.meta.get("ends_s") or 0.0)


def _what(phase: dict[str, Any]) -> str:
    kind = phase.get("kind")
    if kind == "constant":
        return f"{phase.get('per_s', 0):g}/s"
    if kind == "ramp":
        return f"{phase.get('per_s', 0):g}/s to {phase.get('to_per_s', 0):g}/s"
    if kind == "spike":
        return f"{phase.get('per_s', 0):g}/s, peak {phase.get('peak_per_s', 0):g}/s"
    if kind == "users":
        return f"{phase.get('users', 0):g} users, think {phase.get('think_s', 0):g} s"
    return str(kind or "")
