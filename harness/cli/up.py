"""``flashcrowd up``: a seeded stack to look around in, until Ctrl-C or ``flashcrowd down``."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Annotated

import typer
from rich.console import Console

from harness import catalog
from harness.errors import Exit, StackError
from harness.settings import DEFAULT_SEED, check_scale, check_seed
from harness.stack import choose, connect
from harness.stack import standing as standings
from harness.stack.choose import Provider
from harness.stack.stack import Stack
from harness.stack.standing import Standing

LOOK_S = 1.0
POLL_S = 0.05


def up_command(
    incident: Annotated[str, typer.Argument(help="the incident whose stack and dataset to bring up")],
    stack: Annotated[Provider, typer.Option(help="what brings the servers up")] = Provider.AUTO,
    scale: Annotated[float, typer.Option(help="size of the dataset, 1 is as declared")] = 1.0,
    seed: Annotated[int, typer.Option(help="seed of the dataset")] = DEFAULT_SEED,
    detach: Annotated[bool, typer.Option("--detach", help="keep it in the background")] = False,
    name: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Bring an incident's stack up, seeded, and keep it until Ctrl-C, or with --detach until `flashcrowd down`.

    Examples:

        flashcrowd up crafting-burst

    then, in another terminal, Locust with its web page at http://127.0.0.1:8089:

        FLASHCROWD_DSN=postgresql://… locust -f loadtests/crafting_burst/users.py --web-host 127.0.0.1 -u 1

        flashcrowd up crafting-burst --detach; flashcrowd down
    """
    found = catalog.load(incident)
    scale, seed = check_scale(scale), check_seed(seed)
    console = Console()
    if detach:
        _detached(incident, stack, scale, seed, console)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    starting = choose.up(
        stack,
        found.topology,
        found.dataset,
        scale=scale * found.dataset.scale,
        seed=seed,
        say=lambda text: console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True),
    )
    with standings.recorded(incident, stack, name) as mine, starting as running:
        if stack is Provider.EXTERNAL:
            running.reset()  # it may hold what an earlier run made of it
        lines = _how_to_connect(running, mine, ours=stack is not Provider.EXTERNAL)
        mine.now_up(lines)
        _tell(lines, console)
        console.print(f"up until Ctrl-C, or `flashcrowd down {mine.name}`", highlight=False, soft_wrap=True)
        try:
            while (died := running.check_alive()) is None:
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            console.print("going down")
            return
        raise StackError(died)


def _how_to_connect(running: Stack, mine: Standing, *, ours: bool) -> tuple[str, ...]:
    """Lines to be told; passwords of servers that we made go into files beside the record."""
    if not connect.has_passwords(running):
        return tuple(connect.commands(running, password_file=None))
    if not ours:
        note = "# passwords are not shown: they are those that you named"
        return (*connect.commands(running, password_file=None), note)
    password_file = None if running.postgres is None else mine.keep(".pgpass", connect.password_lines(running))
    environment = mine.keep(".env", connect.environment_lines(running))
    note = f"set -a; . {environment}; set +a  # the addresses with their passwords, which only you may read"
    return (*connect.commands(running, password_file=password_file), note)


def _tell(lines: tuple[str, ...], console: Console) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _detached(incident: str, stack: Provider, scale: float, seed: int, console: Console) -> None:
    """Have a process of its own keep the stack, and wait until it is up.

    :raises StackError: it did not come up; what it said
    """
    name = standings.free_name(incident)
    command = [sys.executable, "-P", "-c", "from harness.cli import main; main()", "up", incident, "--stack", stack]
    command += ["--scale", repr(scale), "--seed", str(seed), "--name", name]
    with standings.log_of(name).open("w+b") as output:
        keeper = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )  # fmt: skip
        try:
            while keeper.poll() is None:
                found = standings.find(name)
                if found is not None and found.is_up() and found.keeper.pid == keeper.pid:
                    _tell(found.connect, console)
                    console.print(
                        f"up in the background until `flashcrowd down {name}`", highlight=False, soft_wrap=True
                    )
                    return
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            keeper.terminate()
            keeper.wait()
            raise
        output.seek(0)
        said = output.read().decode("utf-8", errors="replace")
    standings.log_of(name).unlink(missing_ok=True)
    console.print(said.rstrip(), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(keeper.returncode if keeper.returncode > 0 else Exit.STACK)
