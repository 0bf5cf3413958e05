"""Removes what is left of a stack when this process is killed: a small child that outlives it, in place of a reaper's image.

The child holds the other end of a pipe; see :mod:`harness.stack.docker.janitor`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import StackError
from harness.stack.docker import janitor, labels
from harness.stack.docker.labels import Labels

END_S = 30.0


@contextmanager
def guarded(own: Labels, folder: Path) -> Iterator[None]:
    """Have a stack's containers, networks and folder removed should this process end meanwhile, however it ends.

    :raises StackError: the child cannot be started
    """
    command = [sys.executable, "-P", str(Path(janitor.__file__)), f"{labels.STACK}={own.stack}", str(folder)]
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # a Ctrl-C on the terminal is for the harness only
        )
    except OSError as error:
        raise StackError(f"the process that cleans up after a killed run cannot be started: {error}") from error
    assert child.stdin is not None
    clean = False
    try:
        yield
        clean = True
    except Exception:
        clean = True  # what was started was removed on the way here
        raise
    finally:
        with suppress(BrokenPipeError):
            if clean:
                child.stdin.write(b"\n")
            # Without the line it sweeps: somebody was too impatient to wait for that.
            child.stdin.close()
        try:
            child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
