"""The verdict on a terminal, or as plain text where there is none. Words say everything; colour only repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.model import Verdict
from harness.record.reader import Run
from harness.report.html.judgement import Cell, Judgement, Row, Tone, judgement
from harness.report.html.side import Side, sides
from harness.report.words import deadlock_words, invariant_words, printable, why_unknown

_STYLES = {Tone.AS_EXPECTED: "green", Tone.NOT_AS_EXPECTED: "bold red", Tone.UNKNOWN: "yellow", Tone.PLAIN: ""}
_SIGNS = {Tone.AS_EXPECTED: "✓", Tone.NOT_AS_EXPECTED: "✗", Tone.UNKNOWN: "?", Tone.PLAIN: " "}
_REPORT = "report.html"


def show(verdict: Verdict, runs: Sequence[Run], folder: Path, console: Console) -> None:
    """Print the verdict.

    :param folder: of the experiment, which holds the report
    """
    shown = sides(verdict, runs)
    told = judgement(verdict, shown)
    console.print()
    console.print(
        Text.assemble((told.status.upper(), f"bold {_STYLES[told.tone]}".strip()), "  ", printable(told.sentence))
    )
    _print_invalid(told, console)
    console.print(_table(told, shown))
    _print_unknown(verdict, console)
    for note in told.notes:
        console.print(Text(printable(note), style="dim"))
    # One piece whatever the width: a path that is broken over lines cannot be copied.
    console.print(Text.assemble("report  ", str(folder / _REPORT)), soft_wrap=True)


def _print_invalid(told: Judgement, console: Console) -> None:
    for name, reasons in told.invalid:
        console.print(Text(f"{printable(name)}: the measurement is invalid", style="bold red"))
        for reason in reasons:
            console.print(Padding(Text(f"- {printable(reason)}", style="red"), (0, 0, 0, 2)))


def _print_unknown(verdict: Verdict, console: Console) -> None:
    for variant in verdict.variants:
        for name, why in why_unknown(variant):
            console.print(
                Text(f"{printable(variant.variant)}, {printable(name)}: unknown: {printable(why)}", style="yellow")
            )


def _table(told: Judgement, shown: Sequence[Side]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("post-mortem said", overflow="fold")
    for side in shown:
        table.add_column(Text(printable(side.name)), overflow="fold")
    _add_rows(table, told.symptoms)
    if told.thresholds:
        _add_heading(table, "a fix must also satisfy", len(shown))
        _add_rows(table, told.thresholds)
    _add_heading(table, "and in every variant", len(shown))
    table.add_row(Text("measurement"), *[_validity(side) for side in shown])
    for name in _invariant_names(shown):
        table.add_row(Text(printable(name)), *[_invariant(side, name) for side in shown])
    if any(side.verdict is not None and side.verdict.deadlocks is not None for side in shown):
        table.add_row(Text("deadlocks, counted three times"), *[_deadlocks(side) for side in shown])
    return table


def _add_heading(table: Table, text: str, columns: int) -> None:
    table.add_row(*[""] * (columns + 1))
    table.add_row(Text(text, style="bold"), *[""] * columns)


def _add_rows(table: Table, rows: Sequence[Row]) -> None:
    for row in rows:
        first = Text(printable(row.said or row.name))
        first.append(f"\n{printable(row.criterion)}", style="dim")
        table.add_row(first, *[_cell(cell) for cell in row.cells])


def _cell(cell: Cell | None) -> Text:
    return Text("") if cell is None else _told(cell.tone, cell.word, cell.value)


def _told(tone: Tone, word: str, value: str = "") -> Text:
    text = Text(f"{_SIGNS[tone]} {word}", style=_STYLES[tone])
    if value:
        text.append(f"\n  {printable(value)}", style="default not bold")
    return text


def _validity(side: Side) -> Text:
    if side.verdict is None:
        return Text("")
    return _told(Tone.AS_EXPECTED, "valid") if side.verdict.valid else _told(Tone.NOT_AS_EXPECTED, "invalid")


def _invariant_names(shown: Sequence[Side]) -> list[str]:
    return list(dict.fromkeys(one.name for side in shown if side.verdict for one in side.verdict.invariants))


def _invariant(side: Side, name: str) -> Text:
    found = next((one for one in (side.verdict.invariants if side.verdict else ()) if one.name == name), None)
    if found is None:
        return Text("")
    tone = {None: Tone.UNKNOWN, 0: Tone.AS_EXPECTED}.get(found.violations, Tone.NOT_AS_EXPECTED)
    return _told(tone, invariant_words(found), found.detail if found.violations != 0 else "")


def _deadlocks(side: Side) -> Text:
    count = side.verdict.deadlocks if side.verdict is not None else None
    if count is None:
        return Text("")
    tone = {True: Tone.AS_EXPECTED, False: Tone.NOT_AS_EXPECTED, None: Tone.UNKNOWN}[count.agree]
    word, _, numbers = deadlock_words(count).partition(": ")
    return _told(tone, word, numbers)
