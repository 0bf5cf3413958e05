"""Every subcommand is found, says the same in both helps, and costs nobody else the import of what it needs."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from harness import cli
from harness.cli.subcommands import load

NAMES = list(cli.COMMANDS)
#: Packages of others that take long to import.
HEAVY = ("asyncpg", "docker", "duckdb", "jinja2", "locust", "prometheus_client", "psycopg", "pymongo", "requests", "testcontainers")  # fmt: skip
EVERY_MODULE = sorted(path.stem for path in Path(str(cli.__file__)).parent.glob("*.py"))


def imported(*arguments: str) -> set[str]:
    """Packages that a call of the command line imports."""
    program = (
        "import json, sys\n"
        "from harness.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "120"},
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return set(found)


def test_each_module_is_a_subcommand() -> None:
    others = {"__init__", "subcommands"}
    assert sorted({*EVERY_MODULE} - others) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_of_itself_what_the_list_says(name: str) -> None:
    command = load(name, cli.COMMANDS[name])
    assert command.name == name
    text = inspect.cleandoc(command.help or "")
    assert text.partition("\n")[0] == cli.COMMANDS[name].help
    assert command.get_params(typer.Context(command))  # --help at the least


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        pytest.param(("--help",), (), id="help"),
        pytest.param(("list",), ("psycopg",), id="list"),
        pytest.param(("gc", "--help"), ("psycopg", "pymongo"), id="gc"),
        pytest.param(("report", "--help"), ("duckdb", "jinja2"), id="report"),
        pytest.param(
            ("run", "--help"), ("asyncpg", "duckdb", "jinja2", "psycopg", "pymongo"), id="run"
        ),
    ],
)  # fmt: skip
def test_what_it_imports(arguments: tuple[str, ...], needed: tuple[str, ...]) -> None:
    assert imported(*arguments) & {*HEAVY} == {*needed}
