"""The command line: one file a subcommand; errors become one line on standard error and the documented exit code."""

from __future__ import annotations

import sys
import traceback

import typer
from rich.console import Console

from harness.cli.doctor import doctor_command
from harness.cli.down import down_command
from harness.cli.gc import gc_command
from harness.cli.images import images_app
from harness.cli.list import list_command
from harness.cli.mark import mark_command
from harness.cli.report import report_command
from harness.cli.run import run_command
from harness.cli.up import up_command
from harness.errors import Exit, FlashcrowdError

app = typer.Typer(
    name="flashcrowd",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Reproduce a high-traffic incident on a real database stack, see what the databases went through, "
    "and prove that the fix holds.",
    epilog="Exit codes: 0 fine; 99 a criterion failed; 98 unknown or invalid measurement; 2 usage or definition; "
    "3 the stack did not come up; 105 interrupted, with the report written; 1 a defect of ours.",
)
app.command("list")(list_command)
app.command("run")(run_command)
app.command("report")(report_command)
app.command("up")(up_command)
app.command("mark")(mark_command)
app.command("down")(down_command)
app.command("doctor")(doctor_command)
app.command("gc")(gc_command)
app.add_typer(images_app, name="images")

#: What Typer makes of a KeyboardInterrupt.
_TYPERS_INTERRUPTED = 130


def main() -> None:
    """The entry point ``flashcrowd``."""
    errors = Console(stderr=True)
    try:
        app()
    except FlashcrowdError as error:
        errors.print(f"flashcrowd: {error}", style="bold", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except SystemExit as ended:  # Typer ends every command with one, wrong arguments too (2)
        if ended.code != _TYPERS_INTERRUPTED:
            raise
        errors.print("flashcrowd: interrupted", markup=False)
        sys.exit(Exit.INTERRUPTED)
    except Exception:
        traceback.print_exc()
        errors.print("flashcrowd: this is a defect of ours; please report it with the lines above", markup=False)
        sys.exit(Exit.DEFECT)
