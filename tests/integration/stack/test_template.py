"""The cache of seeded clusters: made once, used many times, made anew when it is stale or damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

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
from tests.integration.stack.conftest import SCALE

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("place")]


@pytest.fixture
def recipe(collectibles: Dataset) -> template.ClusterRecipe:
    """What the tests' cluster is made of."""
    account = accounts.for_servers()
    return template.ClusterRecipe(
        fixture=datasets.load(collectibles),
        scale=0.001,
        seed=1,
        account=account,
        binaries=programs.locate(account, (instances.base(),)),
    )


@pytest.fixture
def seedings(tmp_path: Path, recipe: template.ClusterRecipe, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Takes a cluster from a cache of the test's own, as a run would; gives how many were seeded for it."""
    return _seedings(tmp_path / "cache", recipe, monkeypatch)


@pytest.fixture(scope="module")
def kept_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that tests hand on to each other, so that not each has to seed before it may damage."""
    folder = tmp_path_factory.mktemp("kept")
    let_through(folder)
    return folder / "cache"


def _seedings(cache: Path, recipe: template.ClusterRecipe, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setenv("FLASHCROWD_CACHE", str(cache))

    def take(of: template.ClusterRecipe = recipe) -> int:
        said: list[str] = []
        with instances.make(of.account) as instance:
            template.put_into(instance.data, of, said.append)
            assert (instance.data / "PG_VERSION").is_file()
            assert (instance.data.stat().st_uid, instance.data.stat().st_mode & 0o777) == (of.account.uid, 0o700)
        return sum(line.startswith("seeding") for line in said)

    return take


def entry(recipe: template.ClusterRecipe) -> Path:
    return cache.cache_folder() / "clusters" / cache.key(recipe)


def _truncate(folder: Path) -> None:
    path = max((folder / "data" / "base").rglob("*"), key=lambda path: path.stat().st_size)
    os.truncate(path, path.stat().st_size // 2)


def _flip_a_bit(folder: Path) -> None:
    path = max((folder / "data" / "base").rglob("*"), key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _remove_a_file(folder: Path) -> None:
    (folder / "data" / "global" / "pg_control").unlink()


def _remove_an_empty_folder(folder: Path) -> None:
    (folder / "data" / "pg_notify").rmdir()


def _remove_the_manifest(folder: Path) -> None:
    (folder / cache.MANIFEST).unlink()


def _tear_the_manifest(folder: Path) -> None:
    path = folder / cache.MANIFEST
    os.truncate(path, path.stat().st_size // 2)


def _remove_the_data(folder: Path) -> None:
    shutil.rmtree(folder / "data")


def test_seeded_once(seedings: Callable[..., int]) -> None:
    assert [seedings(), seedings(), seedings()] == [1, 0, 0]


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip_a_bit,
        _remove_a_file,
        _remove_an_empty_folder,
        _remove_the_manifest,
        _tear_the_manifest,
        _remove_the_data,
    ],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_a_damaged_entry_is_made_anew(
    damage: Callable[[Path], None], kept_cache: Path, recipe: template.ClusterRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    seedings = _seedings(kept_cache, recipe, monkeypatch)
    if not entry(recipe).exists():
        assert seedings() == 1
    assert seedings() == 0
    damage(entry(recipe))
    assert seedings() == 1
    assert seedings() == 0


def test_a_damaged_entry_still_gives_a_working_stack(
    place: Path, collectibles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASHCROWD_CACHE", str(place / "cache"))
    said: list[str] = []
    for _ in range(2):
        with EmbeddedStack.up(Topology(), collectibles, scale=SCALE, seed=1, say=said.append) as stack:
            assert stack.check_alive() is None
        (found,) = (path for path in (place / "cache" / "clusters").iterdir() if path.is_dir())
        _remove_a_file(found)
    assert [line.partition(" (")[0] for line in said] == [
        "seeding fixtures.collectibles at scale 0.02",
        "the cached dataset is damaged",
        "seeding fixtures.collectibles at scale 0.02",
    ]


def test_what_a_killed_build_left_is_neither_used_nor_kept(
    seedings: Callable[..., int], recipe: template.ClusterRecipe
) -> None:
    half = entry(recipe).with_name(entry(recipe).name + cache.PART)
    abandoned = half.with_name("another-dataset" + cache.PART)
    for folder in (half, abandoned):
        (folder / "data").mkdir(parents=True)
    assert seedings() == 1
    assert not half.exists()
    assert not abandoned.exists()


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


def test_the_least_recently_used_go(
    seedings: Callable[..., int], recipe: template.ClusterRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "KEPT", 2)
    second, third = replace(recipe, seed=2), replace(recipe, seed=3)
    assert [seedings(recipe), seedings(second), seedings(recipe), seedings(third)] == [1, 1, 0, 1]
    assert [entry(of).exists() for of in (recipe, second, third)] == [True, False, True]


def test_a_failing_seed_leaves_no_entry_and_no_server(
    seedings: Callable[..., int], recipe: template.ClusterRecipe, place: Path
) -> None:
    def seed(connection: object, scale: float, seed: int) -> None:
        connection.execute("CREATE TABLE collectors (id no_such_type)")  # type: ignore[attr-defined]

    broken = replace(recipe, fixture=replace(recipe.fixture, seed=seed))
    with pytest.raises(StackError, match=r"seeding fixtures.collectibles failed: .*no_such_type"):
        seedings(broken)
    assert not entry(broken).exists()
    assert [path for path in place.glob("flashcrowd-*/*") if path.is_dir()] == []
    assert seedings(recipe) == 1  # what was left of it is in nobody's way


def test_a_cache_that_cannot_be_written_is_named(
    recipe: template.ClusterRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FLASHCROWD_CACHE", str(tmp_path / "file"))
    with pytest.raises(StackError, match="FLASHCROWD_CACHE"):
        template.put_into(tmp_path / "data", recipe, lambda line: None)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLASHCROWD_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    assert cache.cache_folder() == Path("/var/cache/me/flashcrowd")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache.cache_folder() == Path("/home/me/.cache/flashcrowd")
    monkeypatch.setenv("FLASHCROWD_CACHE", "/elsewhere")
    assert cache.cache_folder() == Path("/elsewhere")


def test_a_cluster_is_stopped_cleanly_before_it_is_kept(
    seedings: Callable[..., int], recipe: template.ClusterRecipe
) -> None:
    assert seedings() == 1
    assert not (entry(recipe) / "data" / "postmaster.pid").exists()
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
