"""``flashcrowd report``: judge a recorded run again and write its reports anew, without any server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.record.writer import free_left_reserve
from harness.report import terminal
from harness.report.write import read_runs, write_reports
from harness.verdict import exit_code


def report_command(
    run: Annotated[
        Path, typer.Argument(help="an experiment's folder, such as reports/crafting-burst/latest, or one run's")
    ],
) -> None:
    """Write the reports of a recorded run anew, also of one whose process was killed.

    Examples:

        flashcrowd report reports/crafting-burst/latest

        flashcrowd report reports/crafting-burst/latest/before
    """
    free_left_reserve(run)
    verdict = write_reports(run)
    terminal.show(verdict, read_runs(run), run, Console())
    raise typer.Exit(exit_code(verdict))
