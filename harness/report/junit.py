"""The verdict as JUnit's XML, which every CI system shows: a suite per variant, a case per symptom, threshold and invariant.

A case fails where the variant is not as expected. What is unknown, and everything of an invalid measurement, is an error. What
was not expected of a variant is skipped: it is shown and not judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from harness.model import Expect, Finding, Invariant, Status, VariantVerdict, Verdict
from harness.record.reader import Run
from harness.report.words import deadlock_words, evidence, invariant_words, run_of
from harness.units import format_value

#: What XML 1.0 cannot hold, not even as a reference.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(verdict: Verdict, runs: Sequence[Run]) -> str:
    """The report as JUnit's XML."""
    root = ET.Element("testsuites", {"name": _text(f"flashcrowd {verdict.incident}")})
    for variant in verdict.variants:
        _suite(root, verdict.incident, variant, run_of(variant, runs))
    if verdict.status is Status.UNKNOWN and all(one.status is Status.PASS for one in verdict.variants):
        suite = ET.SubElement(root, "testsuite", {"name": _text(verdict.incident)})
        case = ET.SubElement(suite, "testcase", {"classname": _text(verdict.incident), "name": "every variant was run"})
        _problem(case, "error", "not every variant that was asked for was run, so the verdict is unknown")
    for element in (*root, root):
        _count(element)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, incident: str, variant: VariantVerdict, run: Run | None) -> None:
    name = f"{incident}.{variant.variant}"
    suite = ET.SubElement(root, "testsuite", {"name": _text(name)})
    if run is not None:
        suite.set("time", f"{float(run.meta['ends_s']):.3f}")
        origin = run.meta.get("origin")
        if origin:
            suite.set("timestamp", datetime.fromtimestamp(origin["wall_s"], UTC).isoformat(timespec="seconds"))
    case = _case(suite, name, "the measurement is valid")
    if not variant.valid:
        _problem(
            case, "error", "the measurement is invalid, which is neither pass nor fail", "\n".join(variant.why_invalid)
        )
    for finding in variant.symptoms:
        _judge(_case(suite, name, f"symptom: {finding.name}"), variant, finding, _wanted_symptom(variant.expect))
    for finding in variant.thresholds:
        wanted = True if variant.expect is Expect.FIXED else None
        _judge(_case(suite, name, f"threshold: {finding.name}"), variant, finding, wanted)
    for invariant in variant.invariants:
        _judge_invariant(_case(suite, name, f"invariant: {invariant.name}"), variant, invariant)
    if variant.deadlocks is None:
        return
    case = _case(suite, name, "the three counts of deadlocks agree")
    if variant.deadlocks.agree is None:
        _problem(case, "skipped", f"not all of them were counted: {deadlock_words(variant.deadlocks)}")
    elif not variant.deadlocks.agree:
        _problem(case, "error", deadlock_words(variant.deadlocks))


def _wanted_symptom(expect: Expect) -> bool | None:
    return {Expect.SYMPTOMS: True, Expect.FIXED: False, Expect.NOTHING: None}[expect]


def _judge(case: ET.Element, variant: VariantVerdict, finding: Finding, wanted: bool | None) -> None:
    told = f"{finding.criterion}: {_answer(finding.held)}, {format_value(finding.value, finding.unit)}; {evidence(finding)}"
    if wanted is None:
        _problem(case, "skipped", f"shown, not judged: {told}")
    elif not variant.valid:
        _problem(case, "error", f"the measurement is invalid: {told}")
    elif finding.held is None:
        _problem(case, "error", f"unknown: {told}")
    elif finding.held is not wanted:
        _problem(case, "failure", f"{'must' if wanted else 'must not'} hold: {told}")
    else:
        ET.SubElement(case, "system-out").text = _text(told)


def _judge_invariant(case: ET.Element, variant: VariantVerdict, invariant: Invariant) -> None:
    told = f"{invariant_words(invariant)}{f': {invariant.detail}' if invariant.detail else ''}"
    if not variant.valid:
        _problem(case, "error", f"the measurement is invalid: {told}")
    elif invariant.violations is None:
        _problem(case, "error", f"unknown: {told}")
    elif invariant.violations:
        _problem(case, "failure", told)


def _answer(held: bool | None) -> str:
    return {True: "true", False: "not true", None: "unknown"}[held]


def _case(suite: ET.Element, classname: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", {"classname": _text(classname), "name": _text(name)})


def _problem(case: ET.Element, kind: str, message: str, body: str = "") -> None:
    problem = ET.SubElement(case, kind, {"message": _text(message)})
    if kind != "skipped":
        problem.text = _text(body or message)


def _count(element: ET.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(kind) is not None for case in cases)))


def _text(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
