"""``flashcrowd doctor``: what a run needs and this machine has."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.doctor import State, examine, impossible
from harness.errors import Exit

_STYLES = {State.OK: "green", State.WARNING: "yellow", State.MISSING: "red"}


def doctor_command() -> None:
    """Look at everything that a run needs, and say what to do about what is lacking. Nothing is started or changed.

    Exit code 0 unless no run is possible at all (3).

    Examples:

        flashcrowd doctor
    """
    console = Console()
    findings = []
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in examine():
        findings.append(finding)
        said = Text(finding.said)
        if finding.advice:
            said.append(f"\n→ {finding.advice}", style="bold")
        table.add_row(Text(finding.state, style=_STYLES[finding.state]), finding.name, said)
    console.print(table)
    if why := impossible(findings):
        console.print(Text(f"\nNo run is possible here: {'; '.join(why)}", style="bold red"))
        raise typer.Exit(Exit.STACK)
    worse = sum(finding.state is not State.OK for finding in findings)
    console.print(
        Text(f"\nRuns are possible{f'; {worse} to look at' if worse else ', and nothing is lacking'}.", style="dim")
    )
