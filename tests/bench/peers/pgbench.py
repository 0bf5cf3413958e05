"""PostgreSQL's own load generator: one thread, prepared statements, no vacuum before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.stack import cache
from harness.stack.embedded import EmbeddedStack
from harness.stack.embedded import account as accounts
from harness.stack.embedded import binaries as programs
from harness.stack.embedded import instance as instances
from tests.bench.dataset import BRANCHES
from tests.bench.peers import process
from tests.bench.row import NotMeasured
from tests.bench.server import postgres_of

SCRIPT = Path(__file__).with_name("five_statements.sql")
LOG = "pgbench_log"
#: Beyond its own length of run: connecting, preparing, and what is in flight at the end.
OVER_S = 60.0
_THROUGHPUT = re.compile(r"^tps = ([\d.]+) \(without initial connection time\)$", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transactions:
    """Transactions of a run at a rate, in order of their end.

    :param ended_s: seconds since the Unix epoch
    :param lag_s: from when each was due to when a free client took it up
    """

    ended_s: NDArray[np.float64]
    lag_s: NDArray[np.float64]


async def per_second(stack: EmbeddedStack, folder: Path, *, clients: int, seconds: int, script: Path | None) -> float:
    """Transactions per second of the closed loop, connecting left out, as pgbench itself says.

    :param script: None is its own select-only script
    """
    what = ["-S"] if script is None else ["-f", str(script), "-s", str(BRANCHES)]
    said = await _run(stack, folder, clients, seconds, what)
    found = _THROUGHPUT.search(said)
    if found is None:
        raise NotMeasured(f"pgbench did not say how many transactions it did:\n{said}")
    return float(found[1])


async def at_rate(stack: EmbeddedStack, folder: Path, *, clients: int, seconds: int, per_s: float) -> Transactions:
    """A Poisson schedule of ``per_s`` selects a second."""
    folder.mkdir()
    await _run(stack, folder, clients, seconds, ["-S", "-R", f"{per_s:g}", "--log", f"--log-prefix={LOG}"])
    return read_log(sorted(folder.glob(f"{LOG}.*")))


def read_log(paths: list[Path]) -> Transactions:
    """Transactions of pgbench's log files, written with a rate.

    A line is client, transaction, latency, script, end (seconds, microseconds), and how late it began in microseconds.

    :raises NotMeasured: a line is not of that form
    """
    rows = [line.split() for path in paths for line in path.read_text(encoding="ascii").splitlines()]
    if not rows or any(len(row) < 7 for row in rows):
        raise NotMeasured("pgbench's log has no transactions, or no column of how late they began")
    try:
        ended = np.array([int(row[4]) + int(row[5]) / 1e6 for row in rows])
        lag = np.array([int(row[6]) / 1e6 for row in rows])
    except ValueError as error:
        raise NotMeasured(f"pgbench's log has a transaction without times: {error}") from error
    order = np.argsort(ended, kind="stable")
    return Transactions(ended_s=ended[order], lag_s=lag[order])


async def _run(stack: EmbeddedStack, folder: Path, clients: int, seconds: int, what: list[str]) -> str:
    endpoint = postgres_of(stack)
    command = [_program(), "-n", "-M", "prepared", "-j", "1", "-c", str(clients), "-T", str(seconds), *what]
    command += ["-h", endpoint.host, "-p", str(endpoint.port), "-U", endpoint.application_user, endpoint.database]
    said = await process.run(
        command,
        folder=folder,
        cores=stack.load_cores,
        limit_s=seconds + OVER_S,
        environment={"PGSSLMODE": "disable", "LC_ALL": "C"},
    )
    failed = _FAILED.search(said)
    if failed is None or failed[1] != "0":
        raise NotMeasured(f"pgbench had failed transactions:\n{said}")
    return said


def _program() -> str:
    """Its path: beside the server's program.

    :raises NotMeasured: it is not there
    """
    found = programs.locate(accounts.for_servers(), (cache.cache_folder(), instances.base()))
    path = Path(found.program("pgbench"))
    if not path.is_file():
        raise NotMeasured(f"there is no pgbench in {found.folder}: name a PostgreSQL that has it in {programs.FORCED}")
    return str(path)
