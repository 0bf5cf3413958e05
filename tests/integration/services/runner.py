"""A stack of a service alone in a process of its own, for tests that kill it.

    python -m tests.integration.services.runner embedded|docker TOKEN

Writes a line when it is up, and waits to be told to end.
"""

from __future__ import annotations

import sys
import urllib.request

from harness.stack import choose
from harness.stack.choose import Provider
from tests.integration.services.topology import DATASET, alone


def main() -> None:
    """Run it."""
    provider, token = Provider(sys.argv[1]), sys.argv[2]
    with choose.up(provider, alone(token), DATASET, scale=1, seed=1, say=lambda line: None) as stack:
        (web,) = stack.services["web"]
        with urllib.request.urlopen(f"{web.url}/child?token={token}") as answer:
            print(answer.status, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
