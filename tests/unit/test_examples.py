"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPS = ("harness", "fixtures", "loadtests", "tests/bench")
WITH_EXAMPLES = [path for top in TOPS for path in sorted((ROOT / top).rglob("*.py")) if ">>> " in path.read_text()]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_they_give_what_they_say(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found = doctest.testmod(module)  # prints what differs
    assert found.attempted > 0
    assert found.failed == 0
