"""What the text reports say in the same words: sides, evidence, invariants, the deadlocks' cross-check."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.model import DeadlockCount, Finding, Invariant, VariantVerdict
from harness.units import format_value

if TYPE_CHECKING:  # `flashcrowd list` has a use for words and none for DuckDB
    from harness.record.reader import Run


def printable(text: str) -> str:
    """The text on one line, with every character that is none to be read shown as U+FFFD.

    >>> printable("a\\tb\\nc \\x1b[31m")
    'a b c �[31m'
    """
    return "".join(
        "\ufffd" if unicodedata.category(char) in ("Cc", "Cs") else char for char in " ".join(text.split(None))
    )


def evidence(finding: Finding) -> str:
    """When it was first so, how extreme it was, how often; or why it is unknown."""
    parts = []
    if finding.why_unknown is not None:
        parts.append(finding.why_unknown)
    if finding.first_s is not None:
        parts.append(f"first at {finding.first_s:.1f} s")
    if finding.worst is not None:
        parts.append(f"worst {format_value(finding.worst, finding.unit)}")
    if finding.count is not None:
        parts.append(f"{finding.count:,} times")
    return "; ".join(parts)


def invariant_words(invariant: Invariant) -> str:
    """Whether the dataset keeps it."""
    if invariant.violations is None:
        return "not checked"
    return "kept" if invariant.violations == 0 else f"violated {invariant.violations:,} times"


def deadlock_words(count: DeadlockCount) -> str:
    """The three counts, and whether they agree."""
    numbers = [("clients", count.client), ("log", count.log), ("counter", count.counter)]
    told = ", ".join(f"{name} {'—' if number is None else format(number, ',')}" for name, number in numbers)
    answer = {True: "agree", False: "disagree", None: "not all counted"}[count.agree]
    matched = (
        "" if count.matched is None or not count.log else f"; {count.matched:,} of the log's found again at the clients"
    )
    return f"{answer}: {told}{matched}"


def why_unknown(variant: VariantVerdict) -> list[tuple[str, str]]:
    """Name and reason of each finding of a variant that is unknown."""
    return [
        (finding.name, finding.why_unknown or "no reason was given")
        for finding in (*variant.symptoms, *variant.thresholds)
        if finding.held is None
    ]


def run_of(variant: VariantVerdict, runs: Sequence[Run]) -> Run | None:
    """The run that a variant's verdict is about, where its folder is at hand."""
    return next((run for run in runs if run.meta["variant"]["name"] == variant.variant), None)
