"""What a load worker imports is its start-up time, and what its exit prints."""

import os
import subprocess
import sys

TELL = "import sys, {}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"


def imported(module: str) -> set[str]:
    environment = {**os.environ, "LOCUST_SKIP_MONKEY_PATCH": "1"}
    command = [sys.executable, "-c", TELL.format(module)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not told.stderr
    return set(told.stdout.split())


def test_a_worker_does_without_what_it_may_not_need() -> None:
    found = imported("harness.load.locust_side.engine")
    assert {"harness", "locust", "asyncpg"} <= found
    assert not {"duckdb", "_duckdb", "pymongo", "psycopg"} & found


def test_locusts_master_does_without_what_carries_the_load() -> None:
    found = imported("harness.load.locust_side")
    assert {"harness", "locust"} <= found
    assert not {"duckdb", "_duckdb", "pymongo", "psycopg", "asyncpg", "uvloop", "numpy"} & found
