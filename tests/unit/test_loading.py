"""What loading our modules costs besides: no thread of NumPy's, no search for garbage."""

import gc
import os
import subprocess
import sys

import pytest

from harness.loading import uncollected

TELL = "import os, harness, numpy; print(os.environ['OPENBLAS_NUM_THREADS'], len(os.listdir('/proc/self/task')))"


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the threads")
@pytest.mark.parametrize(("set_to", "told"), [(None, "1 1"), ("1", "1 1"), ("2", "2")])
def test_linear_algebra_gets_a_thread_only_where_somebody_says_so(set_to: str | None, told: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if set_to is not None:
        environment["OPENBLAS_NUM_THREADS"] = set_to
    done = subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith(told)


@pytest.mark.parametrize("error", [None, ImportError])
def test_collecting_goes_on_afterwards(error: type[Exception] | None) -> None:
    kept = gc.get_freeze_count()
    try:
        with uncollected():
            assert not gc.isenabled()
            if error is not None:
                raise error
    except ImportError:
        assert error is not None
    assert gc.isenabled()
    assert gc.get_freeze_count() > kept
    gc.unfreeze()
    assert gc.get_freeze_count() == 0
