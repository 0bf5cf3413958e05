"""A peer's process: on the load's cores, with nothing of our environment that would change it, ended on every path."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.bench.row import NotMeasured

_LEFT_OUT = ("PG", "LOCUST_", "FLASHCROWD_")
SHOWN_LINES = 12


async def run(
    command: Sequence[str],
    *,
    folder: Path,
    cores: Sequence[int] | None,
    limit_s: float,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What it wrote on its standard output.

    :param folder: where it runs
    :param cores: those it is held to, as our workers are; None: any
    :raises NotMeasured: it failed, or had not ended after ``limit_s``
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**inherited, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        if cores and hasattr(os, "sched_setaffinity"):
            with suppress(ProcessLookupError):
                os.sched_setaffinity(process.pid, cores)
        async with asyncio.timeout(limit_s):
            out, err = await process.communicate()
    except TimeoutError as error:
        raise NotMeasured(f"{Path(command[0]).name} had not ended after {limit_s:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()  # takes what it still says, and closes its pipes
    said = out.decode(errors="replace")
    if process.returncode != 0:
        last = "\n".join((err.decode(errors="replace") + said).splitlines()[-SHOWN_LINES:])
        raise NotMeasured(f"{Path(command[0]).name} ended with exit status {process.returncode}:\n{last}")
    return said
