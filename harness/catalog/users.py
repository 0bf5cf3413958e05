"""Checks the user classes of an incident's ``users.py`` against its mix and its servers. The file is read and not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from harness.catalog.declared_types import TypeProblem
from harness.model import Incident

_OURS = "harness.load.locust_side"
_POSTGRES, _MONGO = "PostgresUser", "MongoUser"
_MARK = "operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marked:
    """An operation as a class has it.

    :param base: ``PostgresUser`` or ``MongoUser``
    """

    name: str
    in_class: str
    base: str
    reads: bool


def users_problem(incident: Incident, users: ast.Module) -> TypeProblem | None:
    """The first thing that is wrong with the user classes; None if nothing is, as far as it can be told by reading."""
    return next(_problems(incident, users), None)


def _problems(incident: Incident, users: ast.Module) -> Iterator[TypeProblem]:
    profile = _Profile(users)
    marked = profile.marked()
    if marked is None:
        return
    servers = {_POSTGRES: incident.topology.postgres, _MONGO: incident.topology.mongo}
    for operation in incident.traffic.mix:
        found = [one for one in marked if one.name == operation]
        if len(found) != 1:
            yield TypeProblem(
                field=operation,
                value=[one.in_class for one in found] or None,
                expected="a method marked @operation of exactly one user class",
            )
        for one in found:
            if servers[one.base] is None:
                yield TypeProblem(
                    field=operation,
                    value=f"of {one.in_class}, a {one.base}",
                    expected="an operation on a server that the topology has",
                )
            if one.reads and one.base == _MONGO:
                yield TypeProblem(
                    field=operation,
                    value="reads=True",
                    expected="a plain @operation: which member of a MongoDB replica set reads is its read preference",
                )


class _Profile:
    """The classes of a file, as far as they can be seen through without running it."""

    def __init__(self, users: ast.Module) -> None:
        self._classes = {node.name: node for node in users.body if isinstance(node, ast.ClassDef)}
        self._imported = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in users.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    def marked(self) -> list[_Marked] | None:
        """The operations of every class that Locust can spawn; None where that cannot be told: no class, or a strange base."""
        found: list[_Marked] = []
        if not self._classes:
            return None
        for name, node in self._classes.items():
            base = self._base(name)
            if base is None:
                return None
            if base and not _is_abstract(node):
                operations = self._operations(name)
                found += [_Marked(name=one, in_class=name, base=base, reads=reads) for one, reads in operations.items()]
        return found

    def _base(self, name: str) -> str | None:
        """Which of ours a class is; empty: none, as a plain Locust user; None: that cannot be told."""
        found = ""
        for called in self._bases(name):
            module, really = self._imported.get(called, ("", ""))
            if called in self._classes and called != name:
                inherited = self._base(called)
            elif module == _OURS and really in (_POSTGRES, _MONGO):
                inherited = really
            else:
                inherited = "" if module.partition(".")[0] == "locust" else None
            if inherited is None:
                return None
            found = found or inherited
        return found

    def _bases(self, name: str) -> list[str]:
        return [base.id if isinstance(base, ast.Name) else "" for base in self._classes[name].bases]

    def _operations(self, name: str) -> dict[str, bool]:
        """Whether each operation only reads; own ones and those of ancestors in the same file."""
        found: dict[str, bool] = {}
        for base in self._bases(name):
            if base in self._classes and base != name:
                found |= self._operations(base)
        for method in self._classes[name].body:
            if not isinstance(method, ast.AsyncFunctionDef | ast.FunctionDef):
                continue
            found.pop(method.name, None)
            for decorator in method.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(called, ast.Name) and self._imported.get(called.id) == (_OURS, _MARK):
                    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
                    found[method.name] = any(
                        one.arg == "reads" and isinstance(one.value, ast.Constant) and one.value.value is True
                        for one in keywords
                    )
        return found


def _is_abstract(node: ast.ClassDef) -> bool:
    return any(
        isinstance(statement, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "abstract" for target in statement.targets)
        and isinstance(statement.value, ast.Constant)
        and statement.value.value is True
        for statement in node.body
    )
