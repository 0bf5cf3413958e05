"""RunProgram: a program on this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress

from harness.errors import StackError
from harness.model import RunProgram
from harness.stack.stack import Stack
from harness.timeline import warden
from harness.timeline.performer import Done, Performer, Scene

_SHOWN_LINES = 3
#: The warden asks, waits 2 s, kills, waits 2 s.
_END_LIMIT_S = 10.0


class RunningProgram(Performer[RunProgram]):
    """Runs a program under a warden, ends it with all that it started, and runs the one that puts back what it changed."""

    def __init__(self, action: RunProgram, scene: Scene, label: str) -> None:
        super().__init__(action, scene, label)
        self._begun = False

    @classmethod
    def why_not(cls, action: RunProgram, stack: Stack) -> str | None:
        for arguments in (action.arguments, action.undo):
            if arguments and os.sep not in arguments[0] and shutil.which(arguments[0]) is None:
                return f"{arguments[0]} is not installed here; install it, or name its path"
        return None

    async def act(self) -> Done:
        self._begun = True
        await self._run(self.action.arguments, "")
        return Done()

    async def undo(self) -> bool:
        if not self._begun or not self.action.undo:
            return False
        await self._run(self.action.undo, "-undo")
        self._begun = False
        return True

    async def _run(self, arguments: Sequence[str], suffix: str) -> None:
        printed = self.scene.logs / f"{self.label}{suffix}.log"
        self.scene.logs.mkdir(exist_ok=True)
        with printed.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", warden.__file__, *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, cwd=self.scene.incident_folder,
                env={**os.environ, **self.scene.environment}, start_new_session=True,
            )  # fmt: skip
        try:
            code = await process.wait()
        finally:
            await asyncio.shield(_end(process))
        if code != 0:
            lines = printed.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
            said = f"; it said: {' | '.join(lines)}" if lines else ""
            raise StackError(f"{arguments[0]} ended with exit code {code}{said}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let the warden end its program, if it still runs: the end of its standard input is its sign."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_END_LIMIT_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
