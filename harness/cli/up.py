"""``flashcrowd up``: a seeded stack to look around in, until Ctrl-C."""

from __future__ import annotations

import signal
from typing import Annotated

import typer
from rich.console import Console

from harness import catalog
from harness.load.plan import DSN_VARIABLE, MONGO_VARIABLE
from harness.settings import DEFAULT_SEED, check_scale, check_seed
from harness.stack.embedded import EmbeddedStack


def up_command(
    incident: Annotated[str, typer.Argument(help="the incident whose stack and dataset to bring up")],
    scale: Annotated[float, typer.Option(help="size of the dataset, 1 is as declared")] = 1.0,
    seed: Annotated[int, typer.Option(help="seed of the dataset")] = DEFAULT_SEED,
) -> None:
    """Bring an incident's stack up, seeded, and keep it until Ctrl-C.

    Examples:

        flashcrowd up crafting-burst

    then, in another terminal, Locust with its web page at http://127.0.0.1:8089:

        FLASHCROWD_DSN=postgresql://… locust -f loadtests/crafting_burst/users.py --web-host 127.0.0.1 -u 1
    """
    found = catalog.load(incident)
    scale, seed = check_scale(scale) * found.dataset.scale, check_seed(seed)
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with EmbeddedStack.up(
        found.topology,
        found.dataset,
        scale=scale,
        seed=seed,
        say=lambda text: console.print(text, style="dim"),
    ) as stack:
        if stack.postgres is not None:
            dsn = stack.postgres.dsn(user=stack.postgres.application_user)
            console.print(f"{DSN_VARIABLE}={dsn}", markup=False, highlight=False, soft_wrap=True)
        if stack.mongo is not None:
            console.print(f"{MONGO_VARIABLE}={stack.mongo.uri()}", markup=False, highlight=False, soft_wrap=True)
        console.print("up until Ctrl-C")
        try:
            signal.pause()
        except KeyboardInterrupt:
            console.print("going down")
