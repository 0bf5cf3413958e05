"""Locust with the PostgreSQL user that it ships: one process, patched by gevent, as its users run it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tests
from harness.load.plan import DSN_VARIABLE
from harness.stack.embedded import EmbeddedStack
from tests.bench.peers import process
from tests.bench.row import NotMeasured
from tests.bench.server import postgres_of

USERS = Path(__file__).with_name("contrib_users.py")
ROOT = Path(tests.__file__).parents[1]
STATISTICS = "contrib"
OVER_S = 60.0


async def per_second(stack: EmbeddedStack, folder: Path, *, users: int, seconds: int) -> float:
    """Requests per second in the steady middle of a run, by Locust's own statistics.

    :param seconds: length of the run; the users are spawned in its first second
    """
    file = folder / f"{STATISTICS}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "locust", "-f", str(USERS), "--headless", "-u", str(users), "-r", str(users)]
    command += ["-t", f"{seconds}s", "--only-summary", "--json-file", str(file.with_suffix(""))]
    endpoint = postgres_of(stack)
    await process.run(
        command,
        folder=ROOT,
        cores=stack.load_cores,
        limit_s=seconds + OVER_S,
        environment={DSN_VARIABLE: endpoint.dsn(user=endpoint.application_user)},
    )
    return steady_per_second(json.loads(file.read_text(encoding="utf-8")))


def steady_per_second(entries: list[Mapping[str, Any]]) -> float:
    """Mean of the seconds that lie wholly within the run: all but the first and the last that had requests.

    :param entries: Locust's statistics as it writes them to JSON
    :raises NotMeasured: a request failed, or there is no such second
    """
    failed = sum(entry["num_failures"] for entry in entries)
    if failed:
        raise NotMeasured(f"{failed} requests of Locust's own user failed")
    counts: dict[int, int] = {}
    for entry in entries:
        for second, count in entry["num_reqs_per_sec"].items():
            counts[int(second)] = counts.get(int(second), 0) + count
    whole = range(min(counts, default=0) + 1, max(counts, default=0))
    if not whole:
        raise NotMeasured("the run of Locust's own user had no whole second")
    return sum(counts.get(second, 0) for second in whole) / len(whole)
