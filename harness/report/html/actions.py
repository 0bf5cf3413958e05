"""What was done to the servers while the traffic went on, in words: for the report's section and for report.md."""

from __future__ import annotations

from dataclasses import dataclass

from harness.record.actions import Deed, deeds
from harness.record.reader import Run
from harness.report.html.judgement import Tone
from harness.units import format_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step of the timeline.

    :param began: when, in words; ``—`` where it did not take place
    :param undone: when it was put back; ``—`` where it was not
    :param remark: stages, what failed, why it did not take place
    """

    step: int
    what: str
    planned: str
    server: str
    began: str
    took: str
    undone: str
    remark: str
    tone: Tone


def rows(run: Run) -> list[Row]:
    """The steps of a run; none if nothing was planned."""
    return [_row(deed) for deed in deeds(run)]


def _row(deed: Deed) -> Row:
    late = "" if deed.late_s is None else f", {deed.late_s:.1f} s late"
    at_end = ", as the run was over" if deed.undone_at_end else ""
    tone = Tone.PLAIN
    if deed.failed is not None:
        tone = Tone.NOT_AS_EXPECTED
    elif deed.never is not None and deed.needed:
        tone = Tone.UNKNOWN
    return Row(
        step=deed.step,
        what=deed.what,
        planned=deed.planned,
        server=deed.server or "—",
        began="—" if deed.begin_s is None else f"{deed.begin_s:.1f} s{late}",
        took=format_value(deed.took_s, "s"),
        undone="—" if deed.undone_s is None else f"{deed.undone_s:.1f} s{at_end}",
        remark="; ".join(_remarks(deed)),
        tone=tone,
    )


def _remarks(deed: Deed) -> list[str]:
    found = []
    if deed.stages:
        found.append(", ".join(f"{name} {format_value(took_s, 's')}" for name, took_s in deed.stages))
    if deed.note:
        found.append(deed.note)
    if deed.failed is not None:
        found.append(f"failed: {deed.failed}")
    if deed.never is not None:
        needed = "" if deed.needed else ", and it was not needed"
        found.append(f"did not take place: {deed.never}{needed}")
    if deed.begin_s is None and deed.never is None:
        found.append("the record ends before it")
    return found
