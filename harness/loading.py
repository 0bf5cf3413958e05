"""Loading modules without looking for garbage among what they make.

What they make stays, and there is much of it: to look through it while it grows, and now and then for as long as the process
lives, takes a tenth of the time that loading takes, and keeps whatever else the process does waiting.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection of garbage meanwhile, and none afterwards of what is there then, until :func:`gc.unfreeze`."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
