"""The cache of seeded data: made once, copied many times, made anew where it is damaged; whoever makes it and whatever it is."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.dataset import Fixture
from harness.errors import StackError
from harness.stack import cache
from harness.stack.recipe import Recipe

PATIENCE_S = 60.0
BIG = "base/5/16384"
DATA = {
    "PG_VERSION": b"18\n",
    "base/5/empty": b"",
    BIG: os.urandom((1 << 20) + 8192),  # more than is read at once
    **{f"base/1/{number}": b"%d" % number * 4096 for number in range(3 * cache.PORTION)},
    "global/pg_control": b"\x01" * 8192,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded(Recipe):
    """What the tests' data is made of."""

    def made_with(self) -> Mapping[str, object]:
        """Nothing that could differ."""
        return {"seeding": 1}


class Builder:
    """Makes data folders with files like a server's, and counts them.

    :ivar said: what the cache told
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._copies = 0
        self.built = 0
        self.said: list[str] = []

    def build(self, folder: Path) -> None:
        """Make one."""
        with self._lock:
            self.built += 1
        for name, data in DATA.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        (folder / "pg_notify").mkdir(mode=0o700)
        (folder / "global" / "pg_control").chmod(0o600)
        os.utime(folder / "PG_VERSION", (1e9, 1e9))
        (folder / "newest").symlink_to("PG_VERSION")
        (folder / "default").symlink_to("base")

    def take(self, recipe: Recipe, build: Callable[[Path], None] | None = None) -> int:
        """Take a copy as a run would, and look at it; how many were made for it."""
        with self._lock:
            before, self._copies = self.built, self._copies + 1
            target = self._target / str(self._copies)
        cache.put_into(target, recipe, build or self.build, self.said.append)
        assert {name: (target / name).read_bytes() for name in DATA} == DATA
        assert (target / "pg_notify").is_dir()
        assert (target / "pg_notify").stat().st_mode & 0o777 == 0o700
        assert [(target / link).readlink() for link in ("newest", "default")] == [Path("PG_VERSION"), Path("base")]
        assert (target / "global" / "pg_control").stat().st_mode & 0o777 == 0o600
        assert (target / "PG_VERSION").stat().st_mtime == 1e9
        shutil.rmtree(target)
        return self.built - before


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    """Makes data for a cache of the test's own."""
    monkeypatch.setenv("FLASHCROWD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "copies").mkdir()
    return Builder(tmp_path / "copies")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """What it is made of."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "__init__.py").write_text("# seeds")
    nothing = Fixture(
        module="fixtures.dataset",
        version=1,
        folder=tmp_path / "dataset",
        seed=lambda connection, scale, seed: None,
        check=lambda connection, scale, seed: [],
        seed_mongo=lambda database, scale, seed: None,
        check_mongo=lambda database, scale, seed: [],
    )
    return Seeded(fixture=nothing, scale=0.5, seed=1)


def entry(recipe: Recipe) -> Path:
    return cache.cache_folder() / "clusters" / cache.key(recipe)


def _truncate(folder: Path) -> None:
    os.truncate(folder / "data" / BIG, len(DATA[BIG]) // 2)


def _flip_a_bit(folder: Path) -> None:
    data = bytearray(DATA[BIG])
    data[-1] ^= 1
    (folder / "data" / BIG).write_bytes(data)


def _remove_a_file(folder: Path) -> None:
    (folder / "data" / "global" / "pg_control").unlink()


def _remove_an_empty_file(folder: Path) -> None:
    (folder / "data" / "base" / "5" / "empty").unlink()


def _add_a_file(folder: Path) -> None:
    (folder / "data" / "postmaster.pid").touch()


def _remove_an_empty_folder(folder: Path) -> None:
    (folder / "data" / "pg_notify").rmdir()


def _remove_a_link(folder: Path) -> None:
    (folder / "data" / "newest").unlink()


def _remove_the_manifest(folder: Path) -> None:
    (folder / cache.MANIFEST).unlink()


def _tear_the_manifest(folder: Path) -> None:
    path = folder / cache.MANIFEST
    os.truncate(path, path.stat().st_size // 2)


def _remove_the_data(folder: Path) -> None:
    shutil.rmtree(folder / "data")


#: How each is told.
DAMAGES = {
    _truncate: f"1 files differ, such as {BIG}",
    _flip_a_bit: f"1 files differ, such as {BIG}",
    _remove_a_file: "1 files differ, such as global/pg_control",
    _remove_an_empty_file: "1 files differ, such as base/5/empty",
    _add_a_file: "1 files differ, such as postmaster.pid",
    _remove_an_empty_folder: "folders are missing or added",
    _remove_a_link: "1 files differ, such as newest",
    _remove_the_manifest: "its manifest is missing",
    _tear_the_manifest: "its manifest cannot be read",
    _remove_the_data: "its data is missing",
}


def test_made_once(builder: Builder, recipe: Recipe) -> None:
    assert [builder.take(recipe) for _ in range(3)] == [1, 0, 0]
    assert builder.said == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_a_damaged_entry_is_made_anew(damage: Callable[[Path], None], builder: Builder, recipe: Recipe) -> None:
    assert [builder.take(recipe) for _ in range(2)] == [1, 0]
    damage(entry(recipe))
    assert [builder.take(recipe) for _ in range(2)] == [1, 0]
    assert builder.said == [f"the cached dataset is damaged ({DAMAGES[damage]}): making it anew"]


def test_what_a_killed_build_left_is_neither_used_nor_kept(builder: Builder, recipe: Recipe) -> None:
    half = entry(recipe).with_name(entry(recipe).name + cache.PART)
    abandoned = half.with_name("another-dataset" + cache.PART)
    for folder in (half, abandoned):
        (folder / "data").mkdir(parents=True)
    assert builder.take(recipe) == 1
    assert not half.exists()
    assert not abandoned.exists()


def test_a_build_that_fails_leaves_nothing_and_is_in_nobodys_way(builder: Builder, recipe: Recipe) -> None:
    def fails(folder: Path) -> None:
        builder.build(folder)
        raise ValueError("no such type")

    with pytest.raises(ValueError, match="no such type"):
        builder.take(recipe, fails)
    assert [path.name for path in entry(recipe).parent.iterdir() if path.is_dir()] == []
    assert [builder.take(recipe) for _ in range(2)] == [1, 0]


def test_the_least_recently_used_go(builder: Builder, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEPT", 2)
    second, third = replace(recipe, seed=2), replace(recipe, seed=3)
    assert [builder.take(of) for of in (recipe, second, recipe, third)] == [1, 1, 0, 1]
    assert [entry(of).exists() for of in (recipe, second, third)] == [True, False, True]


def test_what_somebody_uses_does_not_go(builder: Builder, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEPT", 1)
    with cache.held(recipe, builder.build, builder.said.append) as data:
        assert builder.take(replace(recipe, seed=2)) == 1
        assert (data / BIG).read_bytes() == DATA[BIG]
    assert builder.take(replace(recipe, seed=3)) == 1
    assert not entry(recipe).exists()


def test_of_two_at_once_one_makes_it_and_the_other_waits(builder: Builder, recipe: Recipe) -> None:
    begun, waits = threading.Event(), threading.Event()
    told: list[str] = []

    def slow(folder: Path) -> None:
        begun.set()
        assert waits.wait(PATIENCE_S)
        builder.build(folder)

    def say(line: str) -> None:
        told.append(line)
        waits.set()

    def another() -> bytes:
        with cache.held(recipe, builder.build, say) as data:
            return (data / BIG).read_bytes()

    with ThreadPoolExecutor() as pool:
        one = pool.submit(builder.take, recipe, slow)
        assert begun.wait(PATIENCE_S)
        other = pool.submit(another)
        assert one.result() == 1
        assert other.result() == DATA[BIG]
    assert builder.built == 1
    assert told == ["another run uses this dataset's cache: waiting for it"]


def test_two_that_copy_do_not_wait_for_each_other(builder: Builder, recipe: Recipe) -> None:
    def waits(line: str) -> None:
        raise AssertionError(line)

    assert builder.take(recipe) == 1
    with cache.held(recipe, builder.build, waits) as one, cache.held(recipe, builder.build, waits) as other:
        assert one == other
        assert (one / BIG).read_bytes() == DATA[BIG]


def test_what_somebody_copies_is_not_made_anew_meanwhile(builder: Builder, recipe: Recipe) -> None:
    assert builder.take(recipe) == 1
    told = threading.Event()

    def another() -> int:
        def say(line: str) -> None:
            builder.said.append(line)
            told.set()

        with cache.held(recipe, builder.build, say):
            return builder.built

    with ThreadPoolExecutor() as pool:
        with cache.held(recipe, builder.build, builder.said.append) as data:
            _remove_a_file(data.parent)
            other = pool.submit(another)
            assert told.wait(PATIENCE_S)
            assert (data / BIG).read_bytes() == DATA[BIG]
            assert builder.built == 1
        assert other.result() == 2
    assert builder.said == [
        "another run uses this dataset's cache: waiting for it",
        "the cached dataset is damaged (1 files differ, such as global/pg_control): making it anew",
    ]


def test_a_cache_that_cannot_be_written_is_named(
    builder: Builder, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FLASHCROWD_CACHE", str(tmp_path / "file"))
    with pytest.raises(StackError, match="point FLASHCROWD_CACHE to another folder"):
        builder.take(recipe)
    assert builder.built == 0


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLASHCROWD_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    assert cache.cache_folder() == Path("/var/cache/me/flashcrowd")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache.cache_folder() == Path("/home/me/.cache/flashcrowd")
    monkeypatch.setenv("FLASHCROWD_CACHE", "/elsewhere")
    assert cache.cache_folder() == Path("/elsewhere")
