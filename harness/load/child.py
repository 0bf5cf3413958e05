"""Entry of Locust's processes when the harness starts them: Locust itself, and an end to it when the harness is gone.

Run as ``python -m harness.load.child <Locust's own arguments>``.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys

from harness.loading import uncollected


def main() -> None:
    """Run Locust. A master watches its standard input; a worker's engine does so itself, to write its last rows first."""
    if master := "--master" in sys.argv:
        # Locust reads single keys from standard input, so it gets another one and the pipe is watched by a native thread.
        import _thread

        pipe = os.dup(0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        _thread.start_new_thread(_exit_at_end, (pipe,))
    asked = ["locust.main", "harness.load.locust_side"]  # what Locust and then the incident's users.py will ask for
    # and the first user, or what tells Locust that all workers are there
    asked.append("harness.load.locust_side.master" if master else "harness.load.locust_side.engine")
    with uncollected():
        for name in asked:
            importlib.import_module(name)
    runpy.run_module("locust", run_name="__main__", alter_sys=True)


def _exit_at_end(pipe: int) -> None:
    while os.read(pipe, 65536):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
