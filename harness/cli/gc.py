"""``flashcrowd gc``: remove what killed runs left."""

from __future__ import annotations

from rich.console import Console

from harness.stack.standing import standing
from harness.stack.sweep import sweep


def gc_command() -> None:
    """Remove servers, containers, networks and folders that runs left which were killed; live runs are not touched.

    Every `flashcrowd run` does the same before it starts its own servers.
    """
    console = Console()
    removed = sweep()
    standing()  # forgets those whose keeper is gone
    for line in removed:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(removed)} removed" if removed else "nothing was left behind")
