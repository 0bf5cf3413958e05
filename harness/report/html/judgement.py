"""The verdict as a table (what the post-mortem said, before, after) and as one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.model import Expect, Finding, Status, VariantVerdict, Verdict
from harness.report.html.side import Side
from harness.units import format_value


class Tone(StrEnum):
    """How a cell reads at a glance; never by colour alone, the words and the sign say the same."""

    AS_EXPECTED = "expected"
    NOT_AS_EXPECTED = "unexpected"
    UNKNOWN = "unknown"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one criterion gave in one variant.

    :param facts: name and value of what is shown on demand
    """

    word: str
    value: str
    tone: Tone
    why: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One symptom or threshold; a cell is None where the variant was not held against it."""

    name: str
    said: str
    criterion: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All that stands above the charts.

    :param tone: of the sentence
    :param invalid: variant and why its measurement cannot be trusted
    :param notes: what else must be known before reading on
    """

    sentence: str
    tone: Tone
    status: str
    invalid: tuple[tuple[str, tuple[str, ...]], ...]
    notes: tuple[str, ...]
    symptoms: tuple[Row, ...]
    thresholds: tuple[Row, ...]


def judgement(verdict: Verdict, shown: Sequence[Side]) -> Judgement:
    """The verdict, ready to be shown."""
    invalid = tuple((v.variant, v.why_invalid) for v in verdict.variants if not v.valid)
    said = {
        str(symptom.get("name")): str(symptom.get("said", ""))
        for side in shown
        if side.run is not None
        for symptom in side.run.meta.get("symptoms") or ()
    }
    sentence, tone = _sentence(verdict, bool(invalid))
    return Judgement(
        sentence=sentence,
        tone=tone,
        status="invalid" if invalid else verdict.status.value,
        invalid=invalid,
        notes=tuple(_notes(shown)),
        symptoms=_rows([s.verdict.symptoms if s.verdict else () for s in shown], shown, said, symptom=True),
        thresholds=_rows([s.verdict.thresholds if s.verdict else () for s in shown], shown, {}, symptom=False),
    )


def _sentence(verdict: Verdict, invalid: bool) -> tuple[str, Tone]:
    if invalid:
        return "Invalid measurement: neither pass nor fail.", Tone.NOT_AS_EXPECTED
    reproduced, fixed = verdict.reproduced, verdict.fixed
    has_before = any(v.expect is Expect.SYMPTOMS for v in verdict.variants)
    has_after = any(v.expect is Expect.FIXED for v in verdict.variants)
    first = {True: "Reproduced", False: "Not reproduced", None: "Whether it is reproduced is unknown"}[reproduced]
    if not has_before:
        first = "Only the fix was run" if has_after else "Nothing was run that is judged"
    if not has_after:
        return f"{first}; no variant that claims to be fixed was run.", _tone(verdict.status)
    second = {True: "the fix holds", False: "the fix does not hold", None: "whether the fix holds is unknown"}[fixed]
    if fixed and verdict.status is not Status.PASS and reproduced is not False:
        second = f"the symptoms are gone, but {_beside(verdict)}"
    if reproduced is False and fixed:
        return "Not reproduced, so that the fix shows no symptom proves nothing.", _tone(verdict.status)
    joint = ", and " if (reproduced, fixed) in ((True, True), (None, None)) else ", but "
    if not has_before:
        joint = "; "
    return f"{first}{joint}{second}.", _tone(verdict.status)


def _beside(verdict: Verdict) -> str:
    """What keeps a verdict from passing although no symptom is left."""
    judged = [v for v in verdict.variants if v.expect is Expect.FIXED]
    if any(finding.held is False for v in judged for finding in v.thresholds):
        return "a threshold is broken"
    if any((invariant.violations or 0) > 0 for v in verdict.variants for invariant in v.invariants):
        return "the dataset is not consistent"
    if any(v.deadlocks is not None and v.deadlocks.agree is False for v in verdict.variants):
        return "the counts of deadlocks do not agree"
    return "not everything that must hold is known to" if verdict.status is Status.UNKNOWN else "something else failed"


def _tone(status: Status) -> Tone:
    return {Status.PASS: Tone.AS_EXPECTED, Status.FAIL: Tone.NOT_AS_EXPECTED, Status.UNKNOWN: Tone.UNKNOWN}[status]


def _notes(shown: Sequence[Side]) -> list[str]:
    notes = []
    for side in shown:
        if side.run is None:
            notes.append(f"{side.name}: its run folder is not at hand; only its verdict is shown.")
            continue
        finished = side.run.finished
        if finished is None:
            notes.append(f"{side.name}: the harness was killed; everything up to its last second is shown.")
        elif finished.get("status") != "completed":
            why = f": {finished['why']}" if finished.get("why") else ""
            at_s = f" at {float(finished['at_s']):.1f} s" if finished.get("at_s") is not None else ""
            notes.append(f"{side.name}: {finished.get('status')}{at_s}{why}.")
        if side.verdict is None:
            notes.append(f"{side.name}: the verdict says nothing of this run.")
        gaps = len(side.run.events("gap"))
        if gaps:
            notes.append(f"{side.name}: {gaps} {'gap' if gaps == 1 else 'gaps'} in the samples; see the events.")
        notes += [f"{side.name}: {note}." for note in (side.verdict.notes if side.verdict is not None else ())]
    return notes


def _rows(
    findings: list[tuple[Finding, ...]], shown: Sequence[Side], said: dict[str, str], *, symptom: bool
) -> tuple[Row, ...]:
    order: dict[str, Finding] = {}
    for own in findings:
        for finding in own:
            order.setdefault(finding.name, finding)
    rows = []
    for name, example in order.items():
        cells = []
        for side, own in zip(shown, findings, strict=True):
            match = next((finding for finding in own if finding.name == name), None)
            cells.append(_cell(match, side.verdict, symptom) if match and side.verdict else None)
        rows.append(Row(name=name, said=said.get(name, ""), criterion=example.criterion, cells=tuple(cells)))
    return tuple(rows)


def _cell(finding: Finding, variant: VariantVerdict, symptom: bool) -> Cell:
    facts = [("criterion", finding.criterion), ("value", format_value(finding.value, finding.unit))]
    facts.append(("first true at", "never" if finding.first_s is None else f"{finding.first_s:.1f} s"))
    facts.append(("worst", format_value(finding.worst, finding.unit)))
    facts.append(("count", "not counted" if finding.count is None else f"{finding.count:,}"))
    return Cell(
        word=_word(finding.held, variant.expect, symptom),
        value=format_value(finding.value, finding.unit),
        tone=_cell_tone(finding.held, variant, symptom),
        why=finding.why_unknown or "",
        facts=tuple(facts),
    )


def _word(held: bool | None, expect: Expect, symptom: bool) -> str:
    if held is None:
        return "unknown"
    if not symptom:
        return "met" if held else "broken"
    if held:
        return "held"
    return "gone" if expect is Expect.FIXED else "not seen"


def _cell_tone(held: bool | None, variant: VariantVerdict, symptom: bool) -> Tone:
    if held is None:
        return Tone.UNKNOWN
    if variant.expect is Expect.NOTHING or not variant.valid:
        return Tone.PLAIN
    if not symptom:
        return (Tone.AS_EXPECTED if held else Tone.NOT_AS_EXPECTED) if variant.expect is Expect.FIXED else Tone.PLAIN
    return Tone.AS_EXPECTED if held is (variant.expect is Expect.SYMPTOMS) else Tone.NOT_AS_EXPECTED
