"""Checks that an incident's code has the operations that its traffic names. The code is read and not run: importing it would
import Locust, which patches the process that it is imported in."""

from __future__ import annotations

import ast
from pathlib import Path

from harness.catalog.users import users_problem
from harness.errors import DefinitionError
from harness.model import Incident

USERS = "users.py"
VARIANTS = "variants"


def check_operations(incident: Incident, path: Path) -> None:
    """Check ``users.py`` and the module of each variant.

    :param path: the incident's ``incident.py``
    :raises DefinitionError: a file is missing or cannot be read, or it lacks an operation
    """
    users = path.with_name(USERS)
    if not users.is_file():
        raise DefinitionError(
            where=str(path),
            field=USERS,
            value=None,
            expected=f"a variant without users: {users} must declare the users that carry its operations",
        )
    if wrong := users_problem(incident, _parse(users)):
        raise DefinitionError(where=str(users), field=wrong.field, value=wrong.value, expected=wrong.expected)
    for number, variant in enumerate(incident.variants):
        module = path.parent / VARIANTS / f"{variant.name}.py"
        if not module.is_file():
            raise DefinitionError(
                where=str(path),
                field=f"variants[{number}].name",
                value=variant.name,
                expected=f"a module {module} with its operations",
            )
        for operation in incident.traffic.mix:
            problem = _problem(module, operation, frozenset())
            if problem is not None:
                raise DefinitionError(
                    where=str(module),
                    field=operation,
                    value=problem,
                    expected=f"`async def {operation}(db, arrival)`, an operation of traffic.mix",
                )


def _problem(module: Path, name: str, seen: frozenset[Path]) -> str | None:
    """What a module has in place of a coroutine function of that name; None if it has one."""
    found: str | None = "nothing"
    for node in _parse(module).body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name == name:
            found = None
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            found = "a function without async" if isinstance(node, ast.FunctionDef) else "a class"
        elif isinstance(node, ast.Assign | ast.AnnAssign) and name in _assigned(node):
            found = "a value"
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    found = _imported(module, node, alias.name, seen)
    return found


def _imported(module: Path, node: ast.ImportFrom, name: str, seen: frozenset[Path]) -> str | None:
    """The same of what is imported from a sibling; what comes from elsewhere is believed."""
    parts = (node.module or "").split(".")
    # Another incident's variants may bear the names of these, so the incident's folder must be named as well.
    if node.level > 1 or (node.level == 0 and parts[-3:-1] != [module.parent.parent.name, VARIANTS]):
        return None
    source = module.with_name(f"{parts[-1]}.py")
    if not source.is_file() or source in seen:
        return f"an import from {source.name}, which is not there" if not source.is_file() else "an import in a circle"
    return _problem(source, name, seen | {module})


def _assigned(node: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except SyntaxError as error:
        raise DefinitionError(
            where=f"{path}:{error.lineno}",
            field="syntax",
            value=(error.text or "").strip(),
            expected=f"Python that can be read ({error.msg})",
        ) from error
    except (OSError, ValueError) as error:
        raise DefinitionError(
            where=str(path), field="file", value=path.name, expected=f"Python in UTF-8 ({error})"
        ) from error
