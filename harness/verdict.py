"""From run folders to a verdict: pass, fail or unknown, each with its evidence.

Composition keeps the worst: fail before unknown before pass. A measurement that cannot be trusted is unknown whatever its
findings say; they are still shown. Everything comes from the folder, the criteria too, so that a verdict can be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from harness.criteria import parse
from harness.deadlocks import count_deadlocks
from harness.errors import Exit, UsageError
from harness.evaluation import evaluate
from harness.model import Criterion, Expect, Finding, Invariant, Status, VariantVerdict, Verdict
from harness.neighbours import neighbours
from harness.record import format as layout
from harness.record.actions import deeds
from harness.record.reader import Run
from harness.validity import why_invalid

FORMAT = 1

_WORST_FIRST = (Status.FAIL, Status.UNKNOWN, Status.PASS)
_EXITS = {Status.PASS: Exit.FINE, Status.FAIL: Exit.CRITERION_FAILED, Status.UNKNOWN: Exit.UNKNOWN}


def judge(run: Run) -> VariantVerdict:
    """The verdict on one variant's run.

    :raises DefinitionError: a criterion of its ``run.json`` is not one that this version knows
    """
    expect = Expect(run.meta["variant"]["expect"])
    reasons = why_invalid(run)
    deadlocks = count_deadlocks(run)
    if deadlocks is not None and deadlocks.agree is False:
        reasons.append(
            f"the three counts of deadlocks disagree: clients were told of {deadlocks.client}, the server's log has "
            f"{deadlocks.log}, its counter gained {deadlocks.counter}, and all must be equal; compare deadlocks.jsonl with failures-*.jsonl"
        )
    judged = {what: _findings(run, what) for what in ("symptoms", "thresholds")}
    symptoms, thresholds = (tuple(finding for _, finding in found) for found in judged.values())
    invariants = _invariants(run)
    return VariantVerdict(
        variant=run.meta["variant"]["name"],
        expect=expect,
        valid=not reasons,
        why_invalid=tuple(reasons),
        symptoms=symptoms,
        thresholds=thresholds,
        invariants=invariants,
        deadlocks=deadlocks,
        status=_status(expect, not reasons, symptoms, thresholds, invariants),
        notes=neighbours(run, [*judged["symptoms"], *judged["thresholds"]]),
    )


def combine(incident: str, variants: Sequence[VariantVerdict]) -> Verdict:
    """The verdict on an incident from those on its variants.

    A variant of which nothing is expected counts only if it broke an invariant, or if no other was run.

    :raises UsageError: a variant twice
    """
    names = [variant.variant for variant in variants]
    if len(set(names)) < len(names):
        raise UsageError(f"one verdict of each variant, not {', '.join(names)}")
    judged = [one for one in variants if one.expect is not Expect.NOTHING or one.status is Status.FAIL]
    return Verdict(
        incident=incident,
        status=_worst(one.status for one in judged or variants),
        reproduced=_all_of(one for one in variants if one.expect is Expect.SYMPTOMS),
        fixed=_all_of(one for one in variants if one.expect is Expect.FIXED),
        variants=tuple(variants),
    )


def exit_code(verdict: Verdict) -> Exit:
    """What a command that gave this verdict ends with."""
    return _EXITS[verdict.status]


def to_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as ``verdict.json`` has it; numbers that JSON does not know are null.

    Format history:
      1  first; "deadlocks" of a variant is null where there was no PostgreSQL; "notes", what must be known to read its figures
    """
    return {
        "format": FORMAT,
        "incident": verdict.incident,
        "status": verdict.status.value,
        "reproduced": verdict.reproduced,
        "fixed": verdict.fixed,
        "variants": {variant.variant: _variant_json(variant) for variant in verdict.variants},
    }


def _findings(run: Run, what: str) -> list[tuple[Criterion, Finding]]:
    phases = [phase["name"] for phase in run.meta["phases"]]
    missing = _missing_step(run)
    found = []
    for number, declared in enumerate(run.meta[what]):
        criterion = parse(
            declared["criterion"],
            operations=run.meta["operations"],
            phases=phases,
            where=str(run.folder / layout.RUN),
            field=f"{what}[{number}].criterion",
        )
        finding = evaluate(run, criterion, declared["name"])
        found.append((criterion, finding if missing is None else replace(finding, held=None, why_unknown=missing)))
    return found


def _missing_step(run: Run) -> str | None:
    """Why nothing can be said of a run whose timeline did not take place; None if it did. Where the run was cut short that is
    the reason, and not this."""
    if run.finished is None or run.finished.get("status") != "completed":
        return None
    for deed in deeds(run):
        if deed.never is not None and deed.needed:
            return f"step {deed.step} of the timeline, {deed.what}, did not take place: {deed.never}"
    return None


def _invariants(run: Run) -> tuple[Invariant, ...]:
    checked = run.json(layout.INVARIANTS)
    if checked is None:
        return (Invariant(name="the dataset's check", violations=None, detail="it was not made"),)
    return tuple(
        Invariant(name=one["name"], violations=one["violations"], detail=one.get("detail") or "") for one in checked
    )


def _status(
    expect: Expect,
    valid: bool,
    symptoms: Sequence[Finding],
    thresholds: Sequence[Finding],
    invariants: Sequence[Invariant],
) -> Status:
    if not valid:
        return Status.UNKNOWN
    parts = [_of(None if one.violations is None else one.violations == 0) for one in invariants]
    if expect is Expect.SYMPTOMS:
        parts += [_of(one.held) for one in symptoms]
    elif expect is Expect.FIXED:
        parts += [_of(None if one.held is None else not one.held) for one in symptoms]
        parts += [_of(one.held) for one in thresholds]
    return _worst(parts, nothing=Status.PASS)


def _of(good: bool | None) -> Status:
    return Status.UNKNOWN if good is None else Status.PASS if good else Status.FAIL


def _worst(statuses: Iterable[Status], nothing: Status = Status.UNKNOWN) -> Status:
    found = set(statuses)
    return next((status for status in _WORST_FIRST if status in found), nothing)


def _all_of(variants: Iterable[VariantVerdict]) -> bool | None:
    """Whether every symptom was as these variants are expected to show it; None if there are none, or it is unknown."""
    answers = [_as_expected(one) for one in variants]
    if not answers or None in answers:
        # One variant that did not is enough for a no, whatever the others are.
        return False if False in answers else None
    return all(answers)


def _as_expected(variant: VariantVerdict) -> bool | None:
    if not variant.valid or not variant.symptoms:
        return None
    held = [one.held for one in variant.symptoms]
    wanted = variant.expect is Expect.SYMPTOMS
    if (not wanted) in held:
        return False
    return None if None in held else True


def _variant_json(variant: VariantVerdict) -> dict[str, Any]:
    deadlocks = variant.deadlocks
    return {
        "valid": variant.valid,
        "why_invalid": list(variant.why_invalid),
        "symptoms": [_finding_json(one) for one in variant.symptoms],
        "thresholds": [_finding_json(one) for one in variant.thresholds],
        "invariants": [
            {"name": one.name, "violations": one.violations, "detail": one.detail} for one in variant.invariants
        ],
        "deadlocks": None if deadlocks is None else {**asdict(deadlocks), "agree": deadlocks.agree},
        "status": variant.status.value,
        "expect": variant.expect.value,
        "notes": list(variant.notes),
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "criterion": finding.criterion,
        "held": finding.held,
        "value": _number(finding.value),
        "unit": finding.unit,
        "first_s": _number(finding.first_s),
        "worst": _number(finding.worst),
        "count": finding.count,
    }


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
