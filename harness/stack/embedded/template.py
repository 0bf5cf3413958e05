"""Seeded clusters of PostgreSQL: a dataset is seeded once, every run starts from a copy out of the cache.

What a cluster is made of: the dataset's module, version and files, scale, seed and the PostgreSQL.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StackError
from harness.stack import cache
from harness.stack.cache import Say, copy_tree
from harness.stack.embedded import instance as instances
from harness.stack.embedded import port as ports
from harness.stack.embedded import server as servers
from harness.stack.embedded.account import Account
from harness.stack.embedded.binaries import Binaries
from harness.stack.embedded.instance import Instance
from harness.stack.postgres import seeding
from harness.stack.recipe import MACHINE, Recipe

INITDB_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRecipe(Recipe):
    """What a seeded cluster is made of."""

    binaries: Binaries
    account: Account

    def made_with(self) -> Mapping[str, object]:
        """Our seeding, the server, the machine."""
        return {**seeding.MADE_WITH, **MACHINE, "postgres": self.binaries.version}


def put_into(target: Path, recipe: ClusterRecipe, say: Say) -> None:
    """Put a copy of the seeded cluster at ``target``, owned by the server's account; seeds it where the cache has none.

    :raises StackError: the cache cannot be written, or seeding failed
    """
    cache.put_into(target, recipe, lambda data: _build(data, recipe, say), say)
    recipe.account.own(target)
    target.chmod(0o700)


def _build(data: Path, recipe: ClusterRecipe, say: Say) -> None:
    say(f"seeding {recipe.fixture.module} at scale {recipe.scale:g} (kept for later runs)")
    with instances.make(recipe.account) as instance:
        _initialise(instance, recipe)
        original = (instance.data / "postgresql.conf").read_text(encoding="utf-8")
        server = servers.start(
            instance,
            binaries=recipe.binaries,
            account=recipe.account,
            settings=seeding.BUILD_SETTINGS,
            cores=None,
            port=ports.forced(),
        )
        try:
            seeding.seed_cluster(
                server.connect, recipe.fixture, scale=recipe.scale, seed=recipe.seed, last_lines=server.last_lines
            )
        finally:
            server.stop()
        (instance.data / "postgresql.conf").write_text(original, encoding="utf-8")
        copy_tree(instance.data, data)


def _initialise(instance: Instance, recipe: ClusterRecipe) -> None:
    command = [recipe.binaries.program("initdb"), "-D", str(instance.data), "-U", seeding.SUPERUSER]
    # Trust: it listens on loopback only. No locale: the same order of texts on every system.
    command += ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=instance.folder,
            env=servers.environment(),
            timeout=INITDB_S,
            check=False,
            **recipe.account.spawn_arguments(),
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f"initdb was given {INITDB_S:.0f} s and had not ended: is the disk very slow?") from error
    if done.returncode != 0:
        raise StackError(f"initdb ended with exit status {done.returncode}:\n{done.stdout}{done.stderr}")
