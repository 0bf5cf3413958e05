"""``flashcrowd list``: the incidents there are, or the series that a criterion may name."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import catalog
from harness.errors import DefinitionError
from harness.model import Expect
from harness.model.timeline import timing, words
from harness.report.words import printable
from harness.series import REQUEST_COUNTS, REQUEST_PARTS, SAMPLED, Kind

_EXPECTED = {
    Expect.SYMPTOMS: "must show the symptoms",
    Expect.FIXED: "must show none of them",
    Expect.NOTHING: "shown, not judged",
}
_UNITS = {"": "number", "ratio": "%"}


def list_command(
    series: Annotated[
        bool, typer.Option("--series", help="the series that criteria may name, with units and meaning")
    ] = False,
) -> None:
    """Show the incidents and their variants, or the series for criteria.

    Examples:

        flashcrowd list

        flashcrowd list --series
    """
    console = Console()
    if series:
        console.print(_series_table())
    else:
        _show_incidents(console)


def _show_incidents(console: Console) -> None:
    for name, path in catalog.find().items():
        try:
            incident = catalog.load(name)
        except DefinitionError as error:
            # One that is broken is no reason not to show the others.
            console.print(Text.assemble((name, "bold"), "  cannot be run"))
            console.print(Text(f"  {printable(str(error))}", style="red"), soft_wrap=True)
            continue
        console.print(Text.assemble((name, "bold"), f"  {printable(incident.title)}"))
        console.print(Text(f"  {printable(incident.source.title)}, {printable(incident.source.date)}", style="dim"))
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for variant in incident.variants:
            by_default = "" if variant.by_default else " (only when named)"
            told = Text.assemble(printable(variant.story), ("\n" + _EXPECTED[variant.expect] + by_default, "dim"))
            for step in incident.steps(variant.name):
                time = timing(at_s=step.at_s, when=step.when, for_s=step.for_s)
                told.append(f"\n{printable(f'{time}: {words(step.action)}')}", style="dim")
            table.add_row(f"  {variant.name}", told)
        console.print(table)
        console.print(Text(f"  {path.parent}", style="dim"), soft_wrap=True)
    console.print(Text("\nRun one: flashcrowd run NAME", style="dim"))


def _series_table() -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("series", "unit", "meaning"):
        table.add_column(heading, no_wrap=heading != "meaning")
    table.add_row(Text("of requests, for one operation or all", style="bold"))
    for part, meaning in REQUEST_PARTS.items():
        written = "p99(craft)" if part == "response" else f"p99(craft.{part})"
        table.add_row(written, "s", Text(meaning))
    for name, (unit, meaning) in REQUEST_COUNTS.items():
        table.add_row(f"{name}(craft)", _UNITS.get(unit, unit), Text(meaning))
    table.add_row("")
    table.add_row(Text("sampled", style="bold"))
    for one in SAMPLED:
        kind = " (one number for the run)" if one.kind is Kind.TOTAL else ""
        table.add_row(one.name, _UNITS.get(one.unit, one.unit), Text(one.meaning + kind))
    return table
