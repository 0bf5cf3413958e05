"""The structure holds: imports follow the arrow, and only Locust's side imports locust."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPS = ("harness", "loadtests", "fixtures")
MODULES = sorted(path for top in TOPS for path in (ROOT / top).rglob("*.py"))

#: Whoever works from files alone, and what it must not reach for.
READERS = (
    "harness/verdict.py",
    "harness/validity.py",
    "harness/neighbours.py",
    "harness/criteria.py",
    "harness/evaluation",
    "harness/report",
    "harness/record",
)
LIVE = ("harness.stack", "harness.load", "harness.probes", "harness.run", "harness.experiment", "harness.cli")
#: Serves a run while it goes on, so it is given the run's sampler.
LIVE_REPORT = "harness/report/prometheus.py"


def imported(path: Path) -> set[str]:
    """Modules that a file imports at run time."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def begins_with(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def those(wrong: Callable[[Path], bool]) -> list[str]:
    """The modules that are wrong; each rule looks at all of them in one test, since there are hundreds."""
    return [name_of(path) for path in MODULES if wrong(path)]


def test_only_locusts_side_imports_locust() -> None:
    def uses_it_elsewhere(path: Path) -> bool:
        allowed = name_of(path).startswith("harness/load/locust_side/") or path.name == "users.py"
        return not allowed and any(begins_with(module, "locust") for module in imported(path))

    assert those(uses_it_elsewhere) == []


def test_after_the_run_nothing_needs_a_live_stack() -> None:
    readers = [path for path in MODULES if name_of(path).startswith(READERS) and name_of(path) != LIVE_REPORT]
    assert len(readers) > len(READERS)
    reached = {name_of(path): [one for one in imported(path) if begins_with(one, *LIVE)] for path in readers}
    assert {name: live for name, live in reached.items() if live} == {}


def test_the_nouns_import_nothing_of_ours() -> None:
    nouns = (ROOT / "harness/model").glob("*.py")
    ours = {module for path in nouns for module in imported(path) if begins_with(module, "harness")}
    assert not [module for module in ours if not begins_with(module, "harness.model")]


def test_no_module_is_longer_than_400_lines() -> None:
    assert those(lambda path: len(path.read_text().splitlines()) > 400) == []


def test_every_module_says_what_it_is() -> None:
    def says_nothing(path: Path) -> bool:
        return path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))

    assert those(says_nothing) == []


def test_a_package_that_lists_its_modules_lists_those_that_there_are() -> None:
    of_incidents = {"incident", "users"}
    untrue = {}
    for init in (ROOT / "harness").rglob("__init__.py"):
        text = ast.get_docstring(ast.parse(init.read_text())) or ""
        listed = set(re.findall(r"\b(\w+)\.py\b", text)) - of_incidents
        there = {path.stem for path in init.parent.glob("*.py")} - {"__init__"}
        if listed and (wrong := (listed - there) | (there - set(re.findall(r"\w+", text)))):
            untrue[name_of(init)] = sorted(wrong)
    assert untrue == {}


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"])
def test_files_that_a_document_names_are_there(document: str) -> None:
    there = {f"/{name_of(path)}" for top in (*TOPS, "tests") for path in (ROOT / top).rglob("*.py")}
    named = re.findall(r"(?<![\w/>*])\w[\w/]*\.py\b", (ROOT / document).read_text())
    assert named
    assert [name for name in named if not any(path.endswith(f"/{name}") for path in there)] == []
