"""A dataset's package: what seeds it, what checks it, and what it consists of.

A package under ``fixtures`` has two functions for each kind of database that it is for:

- ``seed(connection, scale, seed)`` makes schema and rows in an empty database, the same ones for the same arguments;
- ``check(connection, acknowledged, indeterminate)`` says after a run whether the data is sound. ``acknowledged`` are the
  ids of requests that the client was told had succeeded, ``indeterminate`` of those that may or may not have.

These are for PostgreSQL and get a psycopg connection; ``seed_mongo(database, scale, seed)`` and
``check_mongo(database, acknowledged, indeterminate)`` do the same for MongoDB and get PyMongo's synchronous database.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from harness.errors import DefinitionError
from harness.model import Dataset, Invariant, Topology

if TYPE_CHECKING:  # who only reads declarations starts a tenth of a second sooner without the drivers
    import psycopg
    from pymongo.database import Database

Document = Mapping[str, Any]
Documents: TypeAlias = "Database[Document]"
Seed = Callable[["psycopg.Connection", float, int], None]
Check = Callable[["psycopg.Connection", Sequence[int], Sequence[int]], list[Invariant]]
SeedMongo = Callable[["Documents", float, int], None]
CheckMongo = Callable[["Documents", Sequence[int], Sequence[int]], list[Invariant]]

_WHERE = "Dataset"
_SEED = ("scale", "seed")
_CHECK = ("acknowledged", "indeterminate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixture:
    """A dataset's package, loaded.

    What the topology has no use for may be missing in the package; calling it then raises :class:`DefinitionError`.

    :param folder: where its files are
    """

    module: str
    version: int
    folder: Path
    seed: Seed
    check: Check
    seed_mongo: SeedMongo
    check_mongo: CheckMongo

    def fingerprint(self) -> str:
        """SHA-256 over names and contents of its files: a cached copy of other files is not used."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(self.folder)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
        return digest.hexdigest()


def load(dataset: Dataset, topology: Topology | None = None) -> Fixture:
    """Import a dataset's package.

    :param topology: the servers that it is for; None: a PostgreSQL
    :raises DefinitionError: there is none, it fails to import, or it lacks one of the functions that the topology needs
    """
    servers = topology or Topology()
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
    postgres, mongo = servers.postgres is not None, servers.mongo is not None
    return Fixture(
        module=dataset.module,
        version=dataset.version,
        folder=Path(file).parent,
        seed=_function(module, "seed", ("connection", *_SEED), needed=postgres),
        check=_function(module, "check", ("connection", *_CHECK), needed=postgres),
        seed_mongo=_function(module, "seed_mongo", ("database", *_SEED), needed=mongo),
        check_mongo=_function(module, "check_mongo", ("database", *_CHECK), needed=mongo),
    )


def _function(module: ModuleType, name: str, parameters: tuple[str, ...], *, needed: bool) -> Any:
    function = getattr(module, name, None)
    signature = f"{name}({', '.join(parameters)})"

    def refuse(*_: object) -> NoReturn:
        raise DefinitionError(
            where=module.__name__, field=name, value=function, expected=f"missing: a function {signature}"
        )

    if not callable(function):
        if needed:
            refuse()
        return refuse
    try:
        inspect.signature(function).bind(*parameters)
    except TypeError as error:
        raise DefinitionError(
            where=module.__name__, field=name, value=function, expected=f"must be callable as {signature} ({error})"
        ) from error
    return function
