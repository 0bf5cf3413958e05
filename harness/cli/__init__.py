"""The command line: one file a subcommand, imported when it is called.

Errors become one line on standard error and the documented exit code.
"""

from __future__ import annotations

import sys
import traceback
from gc import unfreeze  # by its name: a subcommand is called gc, too

from rich.console import Console

from harness.cli.subcommands import Subcommand, Subcommands
from harness.errors import Exit, FlashcrowdError

COMMANDS = {
    "list": Subcommand(
        function="harness.cli.list:list_command",
        help="Show the incidents and their variants, or the series for criteria.",
    ),
    "run": Subcommand(
        function="harness.cli.run:run_command",
        help="Reproduce an incident: bring the stack up, run its variants, judge, and write the report.",
    ),
    "report": Subcommand(
        function="harness.cli.report:report_command",
        help="Write the reports of a recorded run anew, also of one whose process was killed.",
    ),
    "up": Subcommand(
        function="harness.cli.up:up_command",
        help="Bring an incident's stack up, seeded, and keep it until Ctrl-C, or with --detach until `flashcrowd down`.",
    ),
    "mark": Subcommand(
        function="harness.cli.mark:mark_command",
        help="Mark the databases that FLASHCROWD_EXTERNAL_POSTGRES and FLASHCROWD_EXTERNAL_MONGO name as ones that runs may load and destroy.",
    ),
    "down": Subcommand(
        function="harness.cli.down:down_command",
        help="End a stack that `flashcrowd up` keeps, and remove all that belongs to it. Servers of your own are left running.",
    ),
    "doctor": Subcommand(
        function="harness.cli.doctor:doctor_command",
        help="Look at everything that a run needs, and say what to do about what is lacking. Nothing is started or changed.",
    ),
    "gc": Subcommand(
        function="harness.cli.gc:gc_command",
        help="Remove servers, containers, networks and folders that runs left which were killed; live runs are not touched.",
    ),
    "images": Subcommand(
        function="harness.cli.images:images_app",
        help="Container images for the servers, made without a registry.",
    ),
}

app = Subcommands(
    COMMANDS,
    name="flashcrowd",
    help="Reproduce a high-traffic incident on a real database stack, see what the databases went through, "
    "and prove that the fix holds.",
    epilog="Exit codes: 0 fine; 99 a criterion failed; 98 unknown or invalid measurement; 2 usage or definition; "
    "3 the stack did not come up; 105 interrupted, with the report written; 1 a defect of ours.",
)

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
    finally:
        unfreeze()  # what :mod:`harness.loading` kept from collection: the interpreter takes everything apart now
