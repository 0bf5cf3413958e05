"""``flashcrowd down``: end a stack that ``flashcrowd up`` keeps."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated

import psutil
import typer
from rich.console import Console

from harness.errors import StackError, UsageError
from harness.stack.standing import Standing, standing

#: Servers are stopped in order; one that hangs is killed before this.
LIMIT_S = 120.0
POLL_S = 0.05


def down_command(
    name: Annotated[str | None, typer.Argument(help="which one, where several are up; `up` says their names")] = None,
    everything: Annotated[bool, typer.Option("--all", help="all that are up")] = False,
) -> None:
    """End a stack that `flashcrowd up` keeps, and remove all that belongs to it. Servers of your own are left running.

    Examples:

        flashcrowd down

        flashcrowd down --all
    """
    console = Console()
    found = standing()
    for one in _chosen(found, name, everything):
        _end(one)
        console.print(f"{one.name} is down", markup=False, highlight=False)
    if not found:
        console.print("nothing is up")


def _chosen(found: list[Standing], name: str | None, everything: bool) -> list[Standing]:
    if name is not None and everything:
        raise UsageError(f"down {name} --all: name one, or all")
    names = ", ".join(one.name for one in found)
    if name is not None:
        chosen = [one for one in found if one.name == name]
        if not chosen:
            raise UsageError(f"down {name}: {f'up are {names}' if found else 'nothing is up'}")
        return chosen
    if len(found) > 1 and not everything:
        raise UsageError(f"down: {names} are up: name one, or --all")
    return found


def _end(one: Standing) -> None:
    """Ask its keeper to end, and wait until that is done.

    :raises StackError: it does not end
    """
    with suppress(psutil.NoSuchProcess):
        keeper = psutil.Process(one.keeper.pid)
        if one.keeper.matches(keeper):
            keeper.terminate()
    deadline = time.monotonic() + LIMIT_S
    while one.keeper.lives():
        if time.monotonic() > deadline:
            raise StackError(
                f"{one.name}: process {one.keeper.pid} was asked to end and has not after {LIMIT_S:.0f} s; "
                f"kill it (kill -9 {one.keeper.pid}) and run `flashcrowd gc`"
            )
        time.sleep(POLL_S)
