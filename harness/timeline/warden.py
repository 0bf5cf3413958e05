"""Runs a program and ends it, with all that it started, when standard input ends: then the harness is gone, however it went.

    python -P warden.py PROGRAM [ARGUMENT …]

It imports nothing of ours, so that it needs no path to it, which the program would inherit. It exits with the program's exit
code, or 128 + the signal that it died of. Terminated itself, it ends the program first.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from types import FrameType

import psutil

NOT_STARTED = 127
_LOOK_S = 0.05
_GRACE_S = 2.0


def main(arguments: list[str]) -> int:
    """Run the program until it ends or standard input does; its exit code."""
    try:
        # A session of its own: whatever it starts is in it, and is found there although its parent has gone.
        program = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{arguments[0]} cannot be started: {error}", file=sys.stderr)
        return NOT_STARTED
    signal.signal(signal.SIGTERM, _terminated)
    try:
        while program.poll() is None:
            readable, _, _ = select.select([sys.stdin], [], [], _LOOK_S)
            if readable and not os.read(sys.stdin.fileno(), 4096):
                break
    except KeyboardInterrupt:
        pass
    finally:
        _end(program)
    code = program.returncode
    return 128 - code if code < 0 else code


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(program: subprocess.Popen[bytes]) -> None:
    """End the whole session: asked first, then killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for number, patience_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, _GRACE_S)):
        left = _session(program.pid)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        if program.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                program.wait(patience_s)
        if not psutil.wait_procs([process for process in left if process.pid != program.pid], timeout=patience_s)[1]:
            break
    if program.poll() is None:
        program.kill()
        program.wait()


def _session(leader: int) -> list[psutil.Process]:
    """Living processes of a session, and what its leader started elsewhere."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
