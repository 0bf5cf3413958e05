"""Subcommands whose modules are imported when they are called.

What a run needs takes most of a second to import, what the others need is less and often something else. So the command
line knows of each subcommand its module and a line of help; ``--help``, a wrong name and every other subcommand cost none of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from harness.loading import uncollected

MARKUP: Literal["markdown"] = "markdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subcommand:
    """Where one is, and what it does.

    :param function: ``module:name`` of its function, or of a Typer application with subcommands of its own
    :param help: the first sentence of its own help
    """

    function: str
    help: str


class Subcommands(TyperGroup):
    """A program whose subcommands are loaded when they are called.

    :param table: the subcommands by name, in the order in which help lists them
    """

    def __init__(self, table: Mapping[str, Subcommand], **attributes: Any) -> None:
        named = [TyperCommand(name, help=one.help) for name, one in table.items()]
        super().__init__(commands=named, rich_markup_mode=MARKUP, no_args_is_help=True, **attributes)
        self._table = table

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Which is called, loaded; a name that there is not is refused as ever."""
        name, _, rest = super().resolve_command(ctx, args)
        if name is None:
            return None, None, rest
        with uncollected():
            return name, load(name, self._table[name]), rest


def load(name: str, subcommand: Subcommand) -> Any:
    """The subcommand as Typer makes it of its function."""
    module, _, attribute = subcommand.function.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)  # also where it has one subcommand only
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, rich_markup_mode=MARKUP)
    alone.command(name)(found)
    return typer.main.get_command(alone)
