"""What a load worker imports is its start-up time, and what its exit prints."""

import os
import subprocess
import sys

TELL = "import sys, harness.load.locust_side; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def test_a_worker_does_without_what_it_may_not_need() -> None:
    environment = {**os.environ, "LOCUST_SKIP_MONKEY_PATCH": "1"}
    told = subprocess.run([sys.executable, "-c", TELL], env=environment, capture_output=True, text=True, check=True)
    imported = told.stdout.split()
    assert {"harness", "locust", "asyncpg"} <= set(imported)
    assert not {"duckdb", "_duckdb", "pymongo"} & set(imported)
    assert not told.stderr
