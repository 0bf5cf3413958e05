"""The variants of one incident, one after the other on one stack.

1. make the experiment's folder, with a reserve of disk for the verdict
2. bring the stack up, its dataset seeded (from the cache, if it was seeded before)
3. for each variant: reset the dataset, then one run (:mod:`harness.run`); on a stack anew where a run's timeline could not
   be undone
4. tear the stack down, on every path
5. judge what the folder holds; write verdict and reports

An interruption ends the load of the current run and skips what would follow; step 5 still happens, as it does when a
run breaks. What was recorded stays, however the harness ends.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import FlashcrowdError, Interrupted, UsageError
from harness.interruption import Interruption
from harness.model import Incident, Verdict
from harness.probes.probing import Probing
from harness.progress import Progress
from harness.record import format as layout
from harness.record.writer import NO_ROOM, no_room, reserve, write_json
from harness.report.write import write_reports
from harness.run import carry_out
from harness.settings import Settings
from harness.stack import choose
from harness.stack.stack import Stack
from harness.timeline.performers import check_possible

LATEST = "latest"


async def experiment(
    incident: Incident,
    incident_folder: Path,
    settings: Settings,
    progress: Progress,
    interruption: Interruption,
    serving: Callable[[Path, Probing], AbstractContextManager[object]] | None = None,
) -> tuple[Path, Verdict]:
    """Run the settings' variants of an incident.

    :param serving: a context in which a run's live figures are served
    :returns: the experiment's folder and the verdict
    :raises StackError: the servers did not come up
    :raises RecordingError: there was no room to record, not even for the verdict
    """
    folder = _make_folder(settings.out / incident.name)
    broken: FlashcrowdError | None = None
    try:
        with reserve(folder):
            asked = {"incident": incident.name, "asked": list(settings.variants), "command": settings.command}
            write_json(folder / layout.EXPERIMENT, asked)
            waiting = deque(settings.variants)
            while waiting:
                async with _stack_up(incident, settings, progress.say, interruption) as stack:
                    for name in waiting:
                        check_possible(incident.steps(name), stack)
                    good, used = True, False
                    while waiting and good:
                        name = waiting.popleft()
                        await asyncio.to_thread(stack.reset, name, used=used)
                        used = True
                        if interruption.requested:
                            waiting.clear()
                            break
                        progress.say(f"{incident.name}, {name}: recording to {folder / name}")
                        ending = await carry_out(
                            incident, incident_folder, name, stack, folder / name, settings, progress, interruption, serving
                        )  # fmt: skip
                        if not ending.completed:
                            waiting.clear()
                        good = ending.undone
                if waiting:
                    progress.say("what the timeline did could not all be undone: the next variant gets servers anew")
    except FlashcrowdError as error:
        broken = error
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        broken = no_room(folder, error)
    finally:
        nothing = not any((folder / name / layout.RUN).exists() for name in settings.variants)
        if nothing:
            _remove_empty(folder)
    if nothing:
        if interruption.requested:
            # Whatever broke meanwhile broke because it was stopped.
            raise Interrupted("interrupted before the first run began: nothing was recorded") from broken
        assert broken is not None, "the first run begins unless something broke or somebody interrupted"
        raise broken
    # What was recorded before something broke is still worth a report, and says why it is no verdict.
    verdict = await asyncio.to_thread(write_reports, folder)
    _point_latest(folder)
    if broken is not None:
        progress.say(f"recorded so far: {folder}")
        raise broken
    return folder, verdict


@asynccontextmanager
async def _stack_up(
    incident: Incident, settings: Settings, say: Callable[[str], None], interruption: Interruption
) -> AsyncIterator[Stack]:
    """The stack, started and stopped on a thread so that signals are heard meanwhile.

    :raises Interrupted: interrupted before it was up
    """
    scale = settings.scale * incident.dataset.scale
    starting = choose.up(
        settings.provider, incident.topology, incident.dataset, scale=scale, seed=settings.seed, say=say
    )
    entering = asyncio.create_task(asyncio.to_thread(starting.__enter__))
    asked = asyncio.create_task(interruption.wait())
    try:
        await asyncio.wait({entering, asked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
        given_up = not entering.done()
        if given_up:
            await _give_up(starting, entering)
    if given_up:
        raise Interrupted("interrupted before the servers were up: nothing was recorded")
    stack = await entering
    try:
        yield stack
    finally:
        await asyncio.shield(asyncio.to_thread(starting.__exit__, None, None, None))


async def _give_up(starting: AbstractContextManager[Stack], entering: asyncio.Task[Stack]) -> None:
    """End a start that is under way. Its thread cannot be stopped, but it fails when its servers are gone."""
    while not entering.done():
        with suppress(asyncio.CancelledError):  # a further signal changes nothing: this is the quickest way out
            await asyncio.to_thread(choose.stop_own)
            await asyncio.wait({entering}, timeout=0.2)
    if entering.exception() is None:
        await asyncio.to_thread(starting.__exit__, None, None, None)


def _make_folder(parent: Path) -> Path:
    """A new folder named after the time; a second run in the same second gets a number."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        folder = parent / f"{stamp}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(
                f"--out {parent.parent}: cannot make {folder}: {error.strerror}; name another folder"
            ) from error
        return folder
    raise UsageError(f"{parent}: too many runs begun in this second")


def _point_latest(folder: Path) -> None:
    """Point ``latest`` beside the folder at it, at once: whoever reads it sees the old or the new."""
    link = folder.parent / LATEST
    neighbour = folder.parent / f".{LATEST}-{folder.name}"
    with suppress(OSError):  # a file system without links, such as FAT, has no latest
        neighbour.symlink_to(folder.name, target_is_directory=True)
        neighbour.replace(link)


def _remove_empty(folder: Path) -> None:
    """Remove an experiment's folder in which no run was begun."""
    with suppress(OSError):  # somebody looks into it: that is no reason to hide why there was no run
        shutil.rmtree(folder)
