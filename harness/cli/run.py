"""``flashcrowd run``: reproduce an incident and judge it."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness import catalog
from harness.errors import Exit, Interrupted, UsageError
from harness.experiment import experiment
from harness.interruption import Interruption
from harness.model import Incident, Verdict
from harness.probes.probing import Probing
from harness.progress import Progress
from harness.report import terminal
from harness.report.write import read_runs
from harness.settings import (
    DEFAULT_INTERVAL_S,
    DEFAULT_OUT,
    DEFAULT_SEED,
    Settings,
    check_scale,
    check_seed,
    parse_address,
    parse_positive_duration,
    parse_rate,
)
from harness.stack.choose import Provider
from harness.verdict import exit_code

MOST_WORKERS = 64


def run_command(
    incident: Annotated[str, typer.Argument(help="an incident's name; `flashcrowd list` shows them")],
    variant: Annotated[list[str] | None, typer.Option(help="only this variant; may be given several times")] = None,
    stack: Annotated[Provider, typer.Option(help="what brings the servers up")] = Provider.AUTO,
    out: Annotated[Path, typer.Option(help="folder that gets <incident>/<UTC time>/")] = DEFAULT_OUT,
    workers: Annotated[int, typer.Option(help="load workers, one a core that they may use")] = 1,
    rate: Annotated[str, typer.Option(help="factor on all arrival rates, such as 2x")] = "1x",
    scale: Annotated[float, typer.Option(help="size of the dataset, 1 is as declared")] = 1.0,
    duration: Annotated[
        str | None, typer.Option(help="length of the traffic, such as 60s; its phases are stretched")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of arrivals, random choices and dataset")] = DEFAULT_SEED,
    interval: Annotated[
        str, typer.Option(help="how often the probes sample, 100ms to 60s")
    ] = f"{DEFAULT_INTERVAL_S:g}s",
    metrics: Annotated[str | None, typer.Option(help="serve live figures for Prometheus at HOST:PORT")] = None,
) -> None:
    """Reproduce an incident: bring the stack up, run its variants, judge, and write the report.

    Examples:

        flashcrowd run crafting-burst

        flashcrowd run crafting-burst --variant after --rate 2x --metrics 127.0.0.1:9464

    Ctrl-C ends the load and still writes verdict and report; a second one ends at once.
    """
    found = catalog.load(incident)
    settings = Settings(
        variants=_variants(found, variant or []),
        provider=stack,
        out=out,
        workers=_workers(workers),
        rate=parse_rate(rate),
        scale=check_scale(scale),
        duration_s=None if duration is None else parse_positive_duration("--duration", duration),
        seed=check_seed(seed),
        interval_s=_interval(interval),
        metrics=None if metrics is None else parse_address("--metrics", metrics),
        command=shlex.join(["flashcrowd", *sys.argv[1:]]),
    )
    console = Console()
    folder, verdict, interrupted = asyncio.run(
        _run(found, catalog.find()[incident].parent, settings, Progress(console))
    )
    terminal.show(verdict, read_runs(folder), folder, console)
    raise typer.Exit(Exit.INTERRUPTED if interrupted else exit_code(verdict))


async def _run(
    incident: Incident, incident_folder: Path, settings: Settings, progress: Progress
) -> tuple[Path, Verdict, bool]:
    interruption = Interruption(progress.say)
    with interruption.listening():
        try:
            folder, verdict = await experiment(
                incident, incident_folder, settings, progress, interruption, _serving(settings, progress)
            )
        except asyncio.CancelledError:  # the second signal
            raise Interrupted(
                "ended at once, without verdict and report; `flashcrowd report FOLDER` writes them from what was recorded"
            ) from None
    return folder, verdict, interruption.requested


def _serving(
    settings: Settings, progress: Progress
) -> Callable[[Path, Probing], AbstractContextManager[object]] | None:
    if settings.metrics is None:
        return None
    from harness.report.prometheus import Exposition, check_address

    host, port = settings.metrics
    check_address(host, port)
    progress.say(f"live figures at http://{host}:{port}/metrics")
    return lambda folder, sampling: Exposition(folder, sampling.sampler, host=host, port=port)


def _variants(incident: Incident, asked: list[str]) -> tuple[str, ...]:
    known = [variant.name for variant in incident.variants]
    for name in asked:
        if name not in known:
            raise UsageError(f"--variant {name}: {incident.name} has {', '.join(known)}")
    if len(set(asked)) < len(asked):
        raise UsageError(f"--variant {' '.join(asked)}: name each variant once")
    return tuple(asked) or tuple(variant.name for variant in incident.variants if variant.by_default)


def _interval(text: str) -> float:
    value = parse_positive_duration("--interval", text)
    if not 0.1 <= value <= 60:
        raise UsageError(f"--interval {text}: must be 100ms to 60s")
    return value


def _workers(value: int) -> int:
    if not 1 <= value <= MOST_WORKERS:
        raise UsageError(f"--workers {value}: must be 1 to {MOST_WORKERS}")
    return value
