"""The user that Locust itself ships for PostgreSQL, with the same statement as pgbench's select-only script.

It takes no parameters, so the key stands in the text, and its times come from the wall clock in whole milliseconds.
"""

import os
import random

from locust import task
from locust.contrib.postgres import PostgresUser

from harness.load.plan import DSN_VARIABLE
from tests.bench.dataset import ACCOUNTS, BRANCHES


class Reader(PostgresUser):  # type: ignore[misc]  # locust has no types
    """Looks up an account."""

    conn_string = os.environ[DSN_VARIABLE]

    @task  # type: ignore[untyped-decorator]  # likewise
    def select(self) -> None:
        """An account's balance."""
        key = random.randint(1, ACCOUNTS * BRANCHES)
        self.client.execute_query(f"SELECT abalance FROM pgbench_accounts WHERE aid = {key}")
