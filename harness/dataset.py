"""A dataset's package: what seeds it, what checks it, and what it consists of.

A package under ``fixtures`` has two functions:

- ``seed(connection, scale, seed)`` makes schema and rows in an empty database, the same ones for the same arguments;
- ``check(connection, acknowledged, indeterminate)`` says after a run whether the data is sound. ``acknowledged`` are the
  ids of requests that the client was told had succeeded, ``indeterminate`` of those that may or may not have.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg

from harness.errors import DefinitionError
from harness.model import Dataset, Invariant

Seed = Callable[[psycopg.Connection, float, int], None]
Check = Callable[[psycopg.Connection, Sequence[int], Sequence[int]], list[Invariant]]

_WHERE = "Dataset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixture:
    """A dataset's package, loaded.

    :param folder: where its files are
    """

    module: str
    version: int
    folder: Path
    seed: Seed
    check: Check

    def fingerprint(self) -> str:
        """SHA-256 over names and contents of its files: a cached copy of other files is not used."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(self.folder)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
        return digest.hexdigest()


def load(dataset: Dataset) -> Fixture:
    """Import a dataset's package.

    :raises DefinitionError: there is none, it fails to import, or it lacks one of its two functions
    """
    try:
        module = importlib.import_module(dataset.module)
    except Exception as error:  # its code is a definition: whatever it raises is a wrong definition
        raise DefinitionError(
            where=_WHERE,
            field="module",
            value=dataset.module,
            expected=f"a package under fixtures that can be imported ({type(error).__name__}: {error})",
        ) from error
    file = getattr(module, "__file__", None)
    if file is None or not hasattr(module, "__path__"):
        raise DefinitionError(
            where=_WHERE, field="module", value=dataset.module, expected="a package, a folder with __init__.py"
        )
    return Fixture(
        module=dataset.module,
        version=dataset.version,
        folder=Path(file).parent,
        seed=_function(module, "seed", ("connection", "scale", "seed")),
        check=_function(module, "check", ("connection", "acknowledged", "indeterminate")),
    )


def _function(module: ModuleType, name: str, parameters: tuple[str, ...]) -> Any:
    function = getattr(module, name, None)
    signature = f"{name}({', '.join(parameters)})"
    if not callable(function):
        raise DefinitionError(
            where=module.__name__, field=name, value=function, expected=f"missing: a function {signature}"
        )
    try:
        inspect.signature(function).bind(*parameters)
    except TypeError as error:
        raise DefinitionError(
            where=module.__name__, field=name, value=function, expected=f"must be callable as {signature} ({error})"
        ) from error
    return function
