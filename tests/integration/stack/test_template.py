"""Seeded clusters in the cache: what names one, that a server starts from it, and what is left where seeding fails.

What the cache does with files of any kind is asked in tests/unit/stack/test_cache.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from harness import dataset as datasets
from harness.errors import StackError
from harness.model import Dataset, Topology
from harness.stack import cache
from harness.stack.embedded import EmbeddedStack, template
from harness.stack.embedded import account as accounts
from harness.stack.embedded import binaries as programs
from harness.stack.embedded import instance as instances
from harness.stack.embedded import server as servers
from harness.stack.postgres import seeding
from tests.folders import let_through

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("place")]

SCALE = 0.001
SEED = 1


@pytest.fixture
def recipe(collectibles: Dataset) -> template.ClusterRecipe:
    """What the tests' cluster is made of."""
    account = accounts.for_servers()
    return template.ClusterRecipe(
        fixture=datasets.load(collectibles),
        scale=SCALE,
        seed=SEED,
        account=account,
        binaries=programs.locate(account, (instances.base(),)),
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that tests hand on to each other: seeding takes seconds."""
    folder = tmp_path_factory.mktemp("kept")
    let_through(folder)
    return folder / "cache"


@pytest.fixture
def entry(kept: Path, recipe: template.ClusterRecipe, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cluster in that cache; seeded by the test that looks first."""
    monkeypatch.setenv("FLASHCROWD_CACHE", str(kept))
    found = cache.cache_folder() / "clusters" / cache.key(recipe)
    if not found.exists():
        assert seedings(recipe) == 1
    return found


def seedings(recipe: template.ClusterRecipe) -> int:
    """Takes a cluster from the cache, as a run would; how many were seeded for it."""
    said: list[str] = []
    with instances.make(recipe.account) as instance:
        template.put_into(instance.data, recipe, said.append)
        assert (instance.data / "PG_VERSION").is_file()
        assert (instance.data.stat().st_uid, instance.data.stat().st_mode & 0o777) == (recipe.account.uid, 0o700)
    return sum(line.startswith("seeding") for line in said)


def test_a_damaged_entry_is_seeded_anew_and_gives_a_working_stack(entry: Path, collectibles: Dataset) -> None:
    (entry / "data" / "global" / "pg_control").unlink()
    said: list[str] = []
    for _ in range(2):
        with EmbeddedStack.up(Topology(), collectibles, scale=SCALE, seed=SEED, say=said.append) as stack:
            assert stack.check_alive() is None
            assert stack.postgres is not None
            with psycopg.connect(stack.postgres.dsn()) as connection:
                assert connection.execute("SELECT count(*) > 0 FROM items").fetchone() == (True,)
    assert said == [
        "the cached dataset is damaged (1 files differ, such as global/pg_control): making it anew",
        f"seeding fixtures.collectibles at scale {SCALE:g} (kept for later runs)",
    ]


def test_whatever_a_cluster_is_made_of_names_it(recipe: template.ClusterRecipe, tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("# other files")
    others = [
        replace(recipe, seed=2),
        replace(recipe, scale=0.002),
        replace(recipe, fixture=replace(recipe.fixture, version=2)),
        replace(recipe, fixture=replace(recipe.fixture, module="fixtures.other")),
        replace(recipe, fixture=replace(recipe.fixture, folder=tmp_path)),
        replace(recipe, binaries=replace(recipe.binaries, version="postgres (PostgreSQL) 18.7")),
    ]
    assert len({of.digest() for of in (recipe, *others)}) == 1 + len(others)
    assert replace(recipe).digest() == recipe.digest()


def test_a_failing_seed_leaves_no_entry_and_no_server(
    recipe: template.ClusterRecipe, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seed(connection: object, scale: float, seed: int) -> None:
        connection.execute("CREATE TABLE collectors (id no_such_type)")  # type: ignore[attr-defined]

    monkeypatch.setenv("FLASHCROWD_CACHE", str(place / "cache"))
    broken = replace(recipe, fixture=replace(recipe.fixture, seed=seed))
    with pytest.raises(StackError, match=r"seeding fixtures.collectibles failed: .*no_such_type"):
        seedings(broken)
    assert [path for path in (place / "cache" / "clusters").iterdir() if path.is_dir()] == []
    assert [path for path in place.glob("flashcrowd-*/*") if path.is_dir()] == []


def test_a_cluster_is_stopped_cleanly_before_it_is_kept(entry: Path, recipe: template.ClusterRecipe) -> None:
    assert not (entry / "data" / "postmaster.pid").exists()
    assert seedings(recipe) == 0
    with instances.make(recipe.account) as instance:
        template.put_into(instance.data, recipe, lambda line: None)
        server = servers.start(
            instance, binaries=recipe.binaries, account=recipe.account, settings={"log_min_messages": "log"}, cores=None
        )
        try:
            assert "database system was shut down at" in server.last_lines()
            with server.connect("postgres") as connection:
                shown = connection.execute("SELECT current_setting('fsync'), current_setting('wal_level')").fetchone()
                assert shown == ("on", "replica")  # building without durability is not inherited
                names = connection.execute("SELECT datname FROM pg_database WHERE NOT datallowconn").fetchall()
                assert (seeding.TEMPLATE,) in names
        finally:
            server.stop()
