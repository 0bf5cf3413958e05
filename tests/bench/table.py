"""The bench's rows as a table for people and a file for programs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.record.writer import write_json
from tests.bench.row import Row, State, shown

_STYLES = {State.REACHED: "green", State.NOT_REACHED: "red", State.FAILED: "bold red"}


def show(rows: list[Row], console: Console) -> None:
    """Print the table."""
    table = Table(show_edge=False, pad_edge=False)
    for name in ("figure", "median", "min–max", "must reach", "", "note"):
        table.add_column(name, justify="right" if name in ("median", "min–max", "must reach") else "left")
    for row in rows:
        state = f"[{style}]{row.state}[/]" if (style := _STYLES.get(row.state)) else str(row.state)
        limit = "" if row.limit is None else f"{row.limit}{_unit(row)}"
        table.add_row(escape(row.what), _number(row, row.value), _span(row), limit, state, escape(row.note))
    console.print(table)


def write(folder: Path, at: datetime, rows: list[Row], environment: dict[str, Any]) -> Path:
    """Write everything to ``<UTC time>.json``."""
    path = folder / f"{at:%Y-%m-%dT%H%M%SZ}.json"
    write_json(path, {"at": at.isoformat(), **environment, "rows": [row.to_json() for row in rows]})
    return path


def _number(row: Row, value: float | None) -> str:
    if value is None:
        return "—"
    return f"{shown(value)}{_unit(row)}"


def _span(row: Row) -> str:
    return f"{shown(min(row.each))}–{shown(max(row.each))}" if len(row.each) > 1 else ""


def _unit(row: Row) -> str:
    return f" {row.unit}" if row.unit else ""
