"""What a figure is measured on: a server that is up, a folder, and our own side, run as ``flashcrowd run`` does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
from rich.console import Console

from harness import catalog
from harness.clock import Origin
from harness.interruption import Interruption
from harness.load.arrivals import scaled
from harness.load.plan import DSN_VARIABLE, Plan
from harness.load.processes import LoadProcesses
from harness.model import Incident
from harness.progress import Progress
from harness.record import format as layout
from harness.record.writer import write_json
from harness.run import DONE_LIMIT_S, LEAD_S, carry_out, load_alone
from harness.settings import Settings
from harness.stack.embedded import EmbeddedStack
from tests.bench.row import NotMeasured
from tests.bench.server import postgres_of

INCIDENTS = Path(__file__).with_name("incidents")
CRAFTING_BURST = catalog.find()["crafting-burst"].parent
VARIANT = "before"
LOOK_AGAIN_S = 0.05

#: Every index and heap page through the ordinary buffers: a sequential scan of a large table keeps to a small ring of them.
_WARM = """
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT sum(abalance) FROM pgbench_accounts WHERE aid > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is measured.

    :param rounds: how often every side is measured
    :param side_s: how long one side's traffic is, whole seconds
    :param long: whether what takes ten minutes is measured too
    """

    rounds: int = 3
    side_s: int = 5
    quick: bool = False
    long: bool = False

    @classmethod
    def smoke(cls, *, long: bool) -> Extent:
        """The least that computes every figure; the figures themselves mean little."""
        return cls(rounds=1, side_s=2, quick=True, long=long)


class Bed:
    """Where figures are measured.

    :param folder: gets a folder for every run; the caller removes it
    :param stack: the server that the figure asked for; None for one that needs none
    """

    def __init__(
        self, *, folder: Path, extent: Extent, say: Callable[[str], None], stack: EmbeddedStack | None = None
    ) -> None:
        self.folder = folder
        self.extent = extent
        self.say = say
        self._stack = stack
        self._runs = 0

    @property
    def stack(self) -> EmbeddedStack:
        """The server."""
        assert self._stack is not None, "the figure's place has a server"
        return self._stack

    def incident(self, name: str) -> tuple[Incident, Path]:
        """An incident of the bench, by its folder's name, and the folder."""
        folder = INCIDENTS / name
        return catalog.load_folder(folder), folder

    def new_folder(self) -> Path:
        """A path for a run folder, not made yet."""
        self._runs += 1
        return self.folder / f"run-{self._runs}"

    async def run(
        self,
        incident: Incident,
        incident_folder: Path,
        *,
        seconds: float,
        rate: float = 1.0,
        seed: int = 1,
        workers: int = 1,
        folder: Path | None = None,
    ) -> Path:
        """Run one variant with everything that is recorded of a run; its folder.

        :raises NotMeasured: it did not come to its end
        """
        folder = folder or self.new_folder()
        settings = Settings(
            variants=(VARIANT,),
            rate=rate,
            duration_s=seconds,
            seed=seed,
            workers=workers,
            command="python -m tests.bench",
        )
        progress = Progress(Console(quiet=True))
        ending = await carry_out(
            incident, incident_folder, VARIANT, self.stack, folder, settings, progress, Interruption(self.say)
        )
        if not ending.completed:
            raise NotMeasured(f"our run of {incident.name} is {ending.status}: {ending.why}")
        return folder

    async def run_bare(self, incident: Incident, incident_folder: Path, *, seconds: float) -> Path:
        """Run the load alone, recorded by its workers, without probes and without anybody looking on; its folder.

        :raises NotMeasured: it did not come to its end
        """
        folder = self.new_folder()
        folder.mkdir()
        traffic = scaled(incident.traffic, ends_s=seconds)
        plan = Plan(
            incident_folder=str(incident_folder),
            variant=VARIANT,
            run_folder=str(folder.resolve()),
            seed=1,
            workers=1,
            rate=1.0,
            ends_s=seconds,
            drain_s=incident.drain_s,
            interval_s=1.0,
        )
        endpoint = postgres_of(self.stack)
        dsn = endpoint.dsn(user=endpoint.application_user)
        cores, alone = self.stack.load_cores, load_alone(self.stack)
        async with LoadProcesses(plan, traffic, {DSN_VARIABLE: dsn}, cores, alone=alone) as load:
            origin = Origin.after(LEAD_S)
            write_json(folder / layout.RUN, {"origin": asdict(origin)})
            load.go(origin)
            while not load.done():
                if death := load.dead():
                    raise NotMeasured(f"our run of {incident.name} broke: {death.text}")
                if origin.at_s() > seconds + incident.drain_s + DONE_LIMIT_S:
                    raise NotMeasured(f"our run of {incident.name} was not over in time")
                await asyncio.sleep(LOOK_AGAIN_S)
        return folder

    async def fresh(self) -> None:
        """Put pgbench's tables back to the seeded state, in memory; every side that writes begins so."""
        await asyncio.to_thread(self.stack.reset)
        await self.warm()

    async def warm(self) -> None:
        """Read pgbench's accounts into memory."""
        await asyncio.to_thread(self._warm)

    def _warm(self) -> None:
        with psycopg.connect(postgres_of(self.stack).dsn(), autocommit=True) as connection:
            connection.execute(_WARM)
