"""``python -m tests.bench``: measure, print a table, write JSON. See the package's docstring for what each figure means."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from harness import catalog, machine
from harness.errors import FlashcrowdError
from harness.model import Incident
from harness.stack.embedded import EmbeddedStack
from tests.bench import table
from tests.bench.bed import CRAFTING_BURST, INCIDENTS, Bed, Extent
from tests.bench.figures import FIGURES, Figure, Place, skipped
from tests.bench.row import NotMeasured, Row, State, not_measured

DEFAULT_OUT = Path("reports") / "bench"
LOG_WIDTH = 170  # of a table that goes to a file
#: What can go wrong in a measurement without being a defect of the bench: then the other figures are still measured.
FAILURES = (NotMeasured, FlashcrowdError, OSError)

Say = Callable[[str], None]


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for.

    :returns: 0 unless a measurement failed; a figure that is not reached is a result, not a failure
    """
    asked = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
    if asked.list:
        for figure in FIGURES:
            console.print(f"{figure.name:20}{figure.said}", markup=False, highlight=False, soft_wrap=True)
        return 0
    extent = Extent.smoke(long=asked.long) if asked.quick else Extent(long=asked.long, rounds=asked.rounds)
    wanted = [figure for figure in FIGURES if not asked.only or figure.name in asked.only]
    at = datetime.now(UTC)
    asked.out.mkdir(parents=True, exist_ok=True)
    environment: dict[str, Any] = {
        "quick": extent.quick,
        "rounds": extent.rounds,
        "side_s": extent.side_s,
        "machine": machine.machine(None),
        "versions": machine.versions(),
        "stacks": {},
    }
    rows: list[Row] = []

    def say(text: str) -> None:
        console.print(escape(text), style="dim", highlight=False, soft_wrap=True)

    try:
        with tempfile.TemporaryDirectory(prefix="work-", dir=asked.out) as work:
            for place in Place:
                figures = [figure for figure in wanted if figure.place is place]
                rows += _measure_at(place, figures, Path(work), extent, say, environment["stacks"])
    finally:
        order = [figure.name for figure in FIGURES]
        rows.sort(key=lambda row: order.index(row.figure))
        table.show(rows, console)
        say(f"written to {table.write(asked.out, at, rows, environment)}")
    return int(any(row.state is State.FAILED for row in rows))


def _measure_at(
    place: Place, figures: list[Figure], work: Path, extent: Extent, say: Say, stacks: dict[str, Any]
) -> list[Row]:
    """The rows of all figures that are measured in one place."""
    rows: list[Row] = []
    possible = []
    for figure in figures:
        if why := figure.why_not(extent.long):
            rows += skipped(figure, why)
        else:
            possible.append(figure)
    if not possible:
        return rows
    folder = work / place.name.lower()
    folder.mkdir()
    done: list[str] = []
    try:
        with _stack(place, say) as stack:
            if stack is not None:
                stacks[place.name.lower()] = stack.describe()
            bed = Bed(folder=folder, extent=extent, say=say, stack=stack)
            for figure in possible:
                say(f"{figure.name}: {figure.said}")
                rows += _measure(figure, bed)
                done.append(figure.name)
    except FAILURES as error:  # the server did not come up, or down
        rows += [_failed(figure, error) for figure in possible if figure.name not in done]
        say(f"{place.value}: {error}")
    return rows


def _measure(figure: Figure, bed: Bed) -> list[Row]:
    try:
        return asyncio.run(_awaited(figure, bed))
    except FAILURES as error:
        bed.say(f"{figure.name} failed: {error}")
        return [_failed(figure, error)]


async def _awaited(figure: Figure, bed: Bed) -> list[Row]:
    return await figure.measure(bed)


def _failed(figure: Figure, error: Exception) -> Row:
    return not_measured(figure.name, figure.said, f"{type(error).__name__}: {error}", failed=True)


@contextmanager
def _stack(place: Place, say: Say) -> Iterator[EmbeddedStack | None]:
    if place is Place.NOTHING:
        yield None
        return
    incident = _incident(place)
    with EmbeddedStack.up(incident.topology, incident.dataset, scale=1.0, seed=1, say=say) as stack:
        yield stack


def _incident(place: Place) -> Incident:
    return catalog.load_folder(CRAFTING_BURST if place is Place.COLLECTIBLES else INCIDENTS / "select_by_key")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = [figure.name for figure in FIGURES]
    parser.add_argument("--only", action="append", choices=names, help="only this figure; may be given several times")
    parser.add_argument("--quick", action="store_true", help="a short smoke: one round of 2 s; its figures mean little")
    parser.add_argument("--long", action="store_true", help="what takes ten minutes as well")
    parser.add_argument("--rounds", type=_rounds, default=Extent().rounds, help="how often each side is measured")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder that gets <UTC time>.json")
    parser.add_argument("--list", action="store_true", help="what there is, and nothing else")
    return parser


def _rounds(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number, at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
