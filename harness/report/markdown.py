"""The verdict for a pull request: one table, the rest folded away. GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from harness.model import Finding, VariantVerdict, Verdict
from harness.record.reader import Run
from harness.report.html import actions
from harness.report.html.judgement import Cell, Judgement, Row, Tone, judgement
from harness.report.html.outcomes import in_words
from harness.report.html.side import Side, sides
from harness.report.servers import servers
from harness.report.words import deadlock_words, evidence, invariant_words, printable, run_of
from harness.units import format_value

_SIGNS = {Tone.AS_EXPECTED: "✅ ", Tone.NOT_AS_EXPECTED: "❌ ", Tone.UNKNOWN: "❔ ", Tone.PLAIN: ""}
_SPECIAL = re.compile(r"[\\`*_\[\]~#|$]")


def render(verdict: Verdict, runs: Sequence[Run]) -> str:
    """The report as Markdown."""
    shown = sides(verdict, runs)
    told = judgement(verdict, shown)
    lines = [
        f"## {_SIGNS[told.tone]}{escape(verdict.incident)}: {escape(told.status)}",
        "",
        f"**{escape(told.sentence)}**",
        "",
    ]
    lines += _invalid(told)
    lines += _verdict_table(told, shown)
    lines += [f"> {escape(note)}\n" for note in told.notes]
    for variant in verdict.variants:
        lines += _details(variant, run_of(variant, runs))
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Text that Markdown, and GitHub, show as it is: no markup, no HTML, no cell border, nobody notified.

    >>> print(escape("a|b <i> & *c* @d"))
    a\\|b &lt;i&gt; &amp; \\*c\\* &#64;d
    """
    entities = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    # The # of an entity is no heading.
    return re.sub(r"\\#(?=\d+;)", "#", _SPECIAL.sub(r"\\\g<0>", entities))


def code(text: str) -> str:
    """Text as a code span, in a table's cell too.

    >>> print(code("a|b"), code("a`b"))
    `a\\|b` ``a`b``
    """
    text = printable(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    blank = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def _invalid(told: Judgement) -> Iterator[str]:
    for name, reasons in told.invalid:
        yield f"> [!CAUTION]\n> **{escape(name)}: the measurement is invalid**, which is neither pass nor fail."
        yield from (f"> - {escape(reason)}" for reason in reasons)
        yield ""


def _verdict_table(told: Judgement, shown: Sequence[Side]) -> Iterator[str]:
    yield from _row(["post-mortem said", "criterion", *[escape(side.name) for side in shown]])
    yield from _row(["---"] * (len(shown) + 2))
    yield from _criteria(told.symptoms)
    yield from _criteria(told.thresholds, "fix: ")
    yield ""


def _criteria(rows: Sequence[Row], prefix: str = "") -> Iterator[str]:
    for row in rows:
        yield from _row(
            [prefix + escape(row.said or row.name), code(row.criterion), *[_cell(cell) for cell in row.cells]]
        )


def _cell(cell: Cell | None) -> str:
    return "" if cell is None else f"{_SIGNS[cell.tone]}{escape(cell.word)}, {escape(cell.value)}"


def _row(cells: Sequence[str]) -> Iterator[str]:
    yield "| " + " | ".join(cells) + " |"


def _details(variant: VariantVerdict, run: Run | None) -> Iterator[str]:
    # GitHub shows Markdown inside <details> only after an empty line.
    yield f"<details><summary>{escape(variant.variant)}: {escape(variant.status)}</summary>"
    yield ""
    yield from _row(["", "criterion", "true", "value", "evidence"])
    yield from _row(["---"] * 5)
    for kind, findings in (("symptom", variant.symptoms), ("threshold", variant.thresholds)):
        for finding in findings:
            yield from _row(_finding_cells(kind, finding))
    yield ""
    for invariant in variant.invariants:
        detail = f" ({escape(invariant.detail)})" if invariant.detail else ""
        yield f"- {escape(invariant.name)}: {escape(invariant_words(invariant))}{detail}"
    if variant.deadlocks is not None:
        yield f"- deadlocks, counted three times, {escape(deadlock_words(variant.deadlocks))}"
    if run is not None:
        yield from _outcomes(run)
        yield from _environment(run)
        yield from _actions(run)
    yield ""
    yield "</details>"
    yield ""


def _finding_cells(kind: str, finding: Finding) -> list[str]:
    answer = {True: "yes", False: "no", None: "unknown"}[finding.held]
    value = format_value(finding.value, finding.unit)
    return [f"{kind} {escape(finding.name)}", code(finding.criterion), answer, escape(value), escape(evidence(finding))]


def _outcomes(run: Run) -> Iterator[str]:
    """How the requests of each operation ended, the most frequent outcome first."""
    rows = run.query("SELECT operation, outcome, count(*) FROM requests GROUP BY ALL ORDER BY operation, count(*) DESC")
    for operation, group in groupby(rows, key=itemgetter(0)):
        ended = ", ".join(f"{in_words(outcome)} {count:,}" for _, outcome, count in group)
        yield f"- requests of {escape(operation)}, by how they ended: {escape(ended)}"


def _actions(run: Run) -> Iterator[str]:
    done = actions.rows(run)
    if not done:
        return
    yield ""
    yield from _row(["step", "what was done to it", "planned", "server", "began", "took", "put back", ""])
    yield from _row(["---"] * 8)
    for row in done:
        cells = [row.what, row.planned, row.server, row.began, row.took, row.undone, row.remark]
        yield from _row([str(row.step), *[escape(cell) for cell in cells[:-1]], _SIGNS[row.tone] + escape(cells[-1])])
    yield ""


def _environment(run: Run) -> Iterator[str]:
    meta = run.meta
    machine = meta.get("machine") or {}
    facts = {
        **servers(meta.get("stack") or {}),
        "machine": _joined(str(machine.get("system") or ""), _cores(machine.get("cores"))),
        "seed": meta.get("seed"),
        "dataset's scale": meta.get("scale"),
        "rate": meta.get("rate"),
    }
    yield from (f"- {name}: {escape(str(value))}" for name, value in facts.items() if value not in (None, ""))
    if meta.get("command"):
        yield f"- command: {code(str(meta['command']))}"


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _cores(count: object) -> str:
    return "" if count is None else f"{count} core" if count == 1 else f"{count} cores"
