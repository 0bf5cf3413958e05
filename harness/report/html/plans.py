"""Plans of the top statements, as indented trees with costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.errors import RunFolderError
from harness.record import format as layout
from harness.record.reader import Run

#: Keys of a plan node that say what it does, in the order of display; costs and rows have columns of their own.
_DETAILS = (
    "Index Cond",
    "Recheck Cond",
    "Hash Cond",
    "Merge Cond",
    "Join Filter",
    "Filter",
    "Sort Key",
    "Group Key",
    "Subplan Name",
    "CTE Name",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanNode:
    """One step of a plan.

    :param cost: the planner's estimate of its total cost, in units of a sequential page read
    """

    depth: int
    what: str
    cost: str
    rows: str
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A statement's plan.

    :param why_none: what the server said instead of a plan; None where there is one
    """

    nodes: tuple[PlanNode, ...] = ()
    why_none: str | None = None


def plans(run: Run) -> dict[str, Plan]:
    """Plans of a run by query text; one that cannot be read from the folder is left out."""
    found: dict[str, Plan] = {}
    folder = run.folder / layout.PLANS
    for path in sorted(folder.glob("*.json"), key=lambda path: (len(path.stem), path.stem)):
        try:
            stored = run.json(f"{layout.PLANS}/{path.name}")
        except RunFolderError:
            continue
        nodes = _nodes(stored.get("plan")) if stored else ()
        error = stored.get("error") if stored else None
        if stored and (nodes or error):
            found[str(stored.get("query"))] = Plan(nodes=nodes, why_none=None if nodes else str(error))
    return found


def _nodes(explained: Any) -> tuple[PlanNode, ...]:
    if isinstance(explained, list):
        explained = explained[0] if explained else None
    root = explained.get("Plan", explained) if isinstance(explained, dict) else None
    return tuple(_walk(root, 0)) if isinstance(root, dict) else ()


def _walk(node: dict[str, Any], depth: int) -> list[PlanNode]:
    what = str(node.get("Node Type", "?"))
    if node.get("Index Name"):
        what += f" using {node['Index Name']}"
    if node.get("Relation Name"):
        what += f" on {node['Relation Name']}"
        if node.get("Alias") not in (None, node["Relation Name"]):
            what += f" {node['Alias']}"
    found = [
        PlanNode(
            depth=depth,
            what=what,
            cost=_number(node.get("Total Cost")),
            rows=_number(node.get("Plan Rows")),
            details=tuple(f"{key}: {_text(node[key])}" for key in _DETAILS if key in node),
        )
    ]
    for child in node.get("Plans") or ():
        found += _walk(child, depth + 1)
    return found


def _number(value: Any) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else "—"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
