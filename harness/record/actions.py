"""What was done to the servers during a run, from its events of kind ``action``.

One step of the timeline leaves several, each with the fields ``step`` (its number, from 1), ``action``, ``server`` (names with
commas between them; empty where it is done to none) and ``edge``:

    begin       its time had come; ``late_s`` where it was late by more than half a second
    end         it was done; ``took_s``, and perhaps ``stages`` ([[name, seconds], …]) and ``note``
    unfinished  it was under way when its time, or the run, was over; ``took_s``
    undone      it was put back; ``took_s``, ``at_end``: whether only because the run was over
    failed      it could not be done; ``why``, ``took_s``; or not be undone in its time, then ``undoing`` is true
    never       it did not take place; ``why``
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.model import Event
from harness.model.timeline import timing
from harness.record.reader import Run

KIND = "action"
#: Actions that take servers away from whoever measures them.
AWAY = ("pause", "stop", "kill", "cut_off", "flush_cache")
RESTARTED = "flush_cache"  # is away while it is done, and back when it is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One step, as it went.

    :param what: in words
    :param planned: its time or condition, in words
    :param begin_s: None: it did not take place
    :param took_s: until it was done; None: it was not
    :param undone_s: when it was put back; None: it was not, or there was nothing to put back
    :param undone_at_end: whether it was put back only because the run was over
    :param stages: name and seconds of each of its parts
    :param failed: why it, or its undoing, failed
    :param never: why it did not take place
    :param needed: whether the run says nothing without it
    """

    step: int
    action: str
    what: str
    planned: str
    server: str = ""
    begin_s: float | None = None
    late_s: float | None = None
    took_s: float | None = None
    undone_s: float | None = None
    undone_at_end: bool = False
    stages: tuple[tuple[str, float], ...] = ()
    note: str = ""
    failed: str | None = None
    never: str | None = None
    needed: bool = True


def deeds(run: Run) -> list[Deed]:
    """The steps of a run's timeline, in the order in which they were declared."""
    events: dict[int, list[Event]] = {}
    for event in run.events(KIND):
        events.setdefault(_whole(event.fields.get("step")), []).append(event)
    return [_deed(declared, events.get(int(declared["step"]), [])) for declared in run.meta.get("timeline") or ()]


def away(run: Run) -> list[tuple[float, float]]:
    """Times at which a server was away on purpose, in order, not overlapping: what could not be measured then is no fault."""
    last_s = max([float(run.meta.get("ends_s") or 0.0), *(event.at_s for event in run.events(KIND))])
    found: list[tuple[float, float]] = []
    for deed in sorted(deeds(run), key=lambda one: one.begin_s or 0.0):
        if deed.action not in AWAY or deed.begin_s is None:
            continue
        end_s = last_s if deed.undone_s is None else deed.undone_s
        if deed.action == RESTARTED and deed.took_s is not None:
            end_s = deed.begin_s + deed.took_s
        if found and deed.begin_s <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end_s))
        else:
            found.append((deed.begin_s, end_s))
    return found


def _deed(declared: dict[str, object], events: Sequence[Event]) -> Deed:
    edges = {str(event.fields.get("edge")): event for event in events}
    begin, end, undone = edges.get("begin"), edges.get("end"), edges.get("undone")
    failed, never = edges.get("failed"), edges.get("never")
    ended = end.fields if end is not None else {}
    stages = ended.get("stages")
    latest = events[-1].fields if events else {}
    return Deed(
        step=_whole(declared["step"]),
        action=str(declared["kind"]),
        what=str(declared["what"]),
        planned=_planned(declared),
        server=str((end or begin).fields.get("server", "")) if end or begin else str(latest.get("server", "")),  # type: ignore[union-attr]
        begin_s=begin.at_s if begin else None,
        late_s=_number(begin.fields.get("late_s")) if begin else None,
        took_s=_number(ended.get("took_s")),
        undone_s=undone.at_s if undone else None,
        undone_at_end=bool(undone and undone.fields.get("at_end")),
        stages=tuple((str(name), float(took_s)) for name, took_s in stages) if isinstance(stages, list) else (),
        note=str(ended.get("note") or (edges["unfinished"].text.rpartition(": ")[2] if "unfinished" in edges else "")),
        failed=str(failed.fields.get("why") or failed.text) if failed else None,
        never=str(never.fields.get("why") or never.text) if never else None,
        needed=bool(declared.get("needed", True)),
    )


def _planned(declared: dict[str, object]) -> str:
    when = declared.get("when")
    return timing(
        at_s=_number(declared.get("at_s")),
        when=None if when is None else str(when),
        for_s=_number(declared.get("for_s")),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float | str) else 0
