"""A stack of a service alone in a process of its own, for tests that kill it.

    python -m tests.integration.services.runner embedded|docker TOKEN

Writes a line when it is up (the instances' addresses, and what each was told of them), and waits to be told to end.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from harness.stack import choose
from harness.stack.choose import Provider
from tests.integration.services.topology import DATASET, alone


def main() -> None:
    """Run it."""
    provider, token = Provider(sys.argv[1]), sys.argv[2]
    with choose.up(provider, alone(token), DATASET, scale=1, seed=1, say=lambda line: None) as stack:
        urls = [web.url for web in stack.services["web"]]
        for url in urls:
            ask(f"{url}/child?token={token}")
        told = [ask(f"{url}/me")["environment"]["FLASHCROWD_SERVICE_WEB"] for url in urls]
        print(json.dumps([urls, told]), flush=True)
        sys.stdin.read()


def ask(url: str) -> Any:
    """What the service answers."""
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
