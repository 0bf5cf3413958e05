"""Seeded clusters of PostgreSQL: a dataset is seeded once, every run starts from a copy out of the cache.

What a cluster is made of: the dataset's module, version and files, scale, seed and the PostgreSQL.
"""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from harness.dataset import Fixture
from harness.errors import StackError
from harness.stack.embedded import cache
from harness.stack.embedded import instance as instances
from harness.stack.embedded import server as servers
from harness.stack.embedded.account import Account
from harness.stack.embedded.binaries import Binaries
from harness.stack.embedded.cache import Say, copy_tree
from harness.stack.embedded.instance import Instance
from harness.stack.embedded.server import Server

RECIPE = 1  # to be raised whenever this module puts something else into a cluster
DATABASE = "crowd"
TEMPLATE = "crowd_template"
APPLICATION_USER = "app"
INITDB_S = 300.0

# Speed without durability: what is built here counts only once it is stopped cleanly, copied and checksummed.
_BUILD_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "maintenance_work_mem": "256MB",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a seeded cluster is made of."""

    fixture: Fixture
    scale: float
    seed: int
    binaries: Binaries
    account: Account

    def made_of(self) -> dict[str, object]:
        """The same as JSON values; equal recipes give equal clusters."""
        return {
            "recipe": RECIPE,
            "module": self.fixture.module,
            "version": self.fixture.version,
            "files": self.fixture.fingerprint(),
            "scale": self.scale,
            "seed": self.seed,
            "postgres": self.binaries.version,
            "machine": f"{platform.system()} {platform.machine()}",
        }

    def key(self) -> str:
        """Name of the entry."""
        return cache.key(self.fixture.module, self.made_of())


def put_into(target: Path, recipe: Recipe, say: Say) -> None:
    """Put a copy of the seeded cluster at ``target``, owned by the server's account; seeds it where the cache has none.

    :raises StackError: the cache cannot be written, or seeding failed
    """
    cache.put_into(target, recipe, lambda data: _build(data, recipe, say), say)
    recipe.account.own(target)
    target.chmod(0o700)


def _build(data: Path, recipe: Recipe, say: Say) -> None:
    say(f"seeding {recipe.fixture.module} at scale {recipe.scale:g} (kept for later runs)")
    with instances.make(recipe.account) as instance:
        _initialise(instance, recipe)
        original = (instance.data / "postgresql.conf").read_text(encoding="utf-8")
        server = servers.start(
            instance, binaries=recipe.binaries, account=recipe.account, settings=_BUILD_SETTINGS, cores=None
        )
        try:
            _seed(server, recipe)
        finally:
            server.stop()
        (instance.data / "postgresql.conf").write_text(original, encoding="utf-8")
        copy_tree(instance.data, data)


def _initialise(instance: Instance, recipe: Recipe) -> None:
    command = [recipe.binaries.program("initdb"), "-D", str(instance.data), "-U", servers.SUPERUSER]
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


def _seed(server: Server, recipe: Recipe) -> None:
    try:
        with server.connect("postgres") as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements")
            admin.execute(f"CREATE ROLE {APPLICATION_USER} LOGIN IN ROLE pg_read_all_data, pg_write_all_data")
            admin.execute(f"CREATE DATABASE {TEMPLATE}")
        with server.connect(TEMPLATE) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            connection.autocommit = False
            recipe.fixture.seed(connection, recipe.scale, recipe.seed)
            connection.commit()
            connection.autocommit = True
            connection.execute("VACUUM (FREEZE, ANALYZE)")
        with server.connect("postgres") as admin:
            admin.execute(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE true ALLOW_CONNECTIONS false")
            copy_database(admin)
            admin.execute("CHECKPOINT")
    except psycopg.Error as error:
        raise StackError(
            f"seeding {recipe.fixture.module} failed: {error}\nthe server's last lines:\n{server.last_lines()}"
        ) from error


def copy_database(admin: psycopg.Connection) -> None:
    """Make the database ``crowd`` from its template; ``admin`` must be connected to another one."""
    # Copying files beats logging every page by far at this size. Before 15 there is no other way, nor a word for it.
    strategy = sql.SQL("STRATEGY FILE_COPY" if admin.info.server_version >= 150000 else "")
    admin.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(
            sql.Identifier(DATABASE), sql.Identifier(TEMPLATE), strategy
        )
    )
