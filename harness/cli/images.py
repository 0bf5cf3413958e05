"""``flashcrowd images``: container images for the servers, made without a registry."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from harness.errors import UsageError
from harness.stack.docker import engine as engines
from harness.stack.docker import recipes
from harness.stack.docker.images import build
from harness.stack.docker.recipes import Recipe

images_app = typer.Typer(no_args_is_help=True, help="Container images for the servers, made without a registry.")


@images_app.command("build")
def build_command(
    what: Annotated[
        list[str] | None, typer.Argument(help="postgres, postgres:VERSION or mongo; both where nothing is named")
    ] = None,
) -> None:
    """Make images of PostgreSQL and MongoDB from packages that this machine has.

    They take the same environment variables as the official images, and are used where those are not there. An image that would come out the same is not made again.

    Examples:

        flashcrowd images build

        flashcrowd images build postgres:15     # of Debian's package postgresql-15
    """
    console = Console()
    found = [_recipe(name) for name in what or ("postgres", "mongo")]
    with engines.connect() as engine:
        for recipe in found:
            build(
                engine.client, recipe, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
            )


def _recipe(name: str) -> Recipe:
    """The recipe for what was named."""
    kind, _, version = name.partition(":")
    if kind == "mongo" and not version:
        return recipes.mongo()
    if kind == "postgres" and (not version or (version.isascii() and version.isdecimal())):
        return recipes.postgres(int(version) if version else None)
    raise UsageError(
        f"images build {name}: name postgres, postgres:VERSION (a major one, such as postgres:15) or mongo"
    )
