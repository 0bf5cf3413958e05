"""What a dataset's package must be, and when a cached copy of it is stale."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness import dataset as datasets
from harness.errors import DefinitionError
from harness.model import Dataset, MongoReplicaSet, Topology

GOOD = "def seed(connection, scale, seed): ...\ndef check(connection, acknowledged, indeterminate): ...\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an importable package ``sample_dataset``."""
    file = tmp_path / "sample_dataset" / "__init__.py"
    file.parent.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "sample_dataset", raising=False)
    return file


def load(topology: Topology | None = None) -> datasets.Fixture:
    sys.modules.pop("sample_dataset", None)
    return datasets.load(Dataset(module="sample_dataset", version=3), topology)


def test_loads_a_package_with_both_functions(package: Path) -> None:
    package.write_text(GOOD)
    fixture = load()
    assert (fixture.module, fixture.version, fixture.folder) == ("sample_dataset", 3, package.parent)


def test_the_collectibles_are_such_a_package() -> None:
    fixture = datasets.load(Dataset(module="fixtures.collectibles", version=1))
    assert (fixture.folder / "schema.sql").is_file()


@pytest.mark.parametrize(
    ("source", "field", "said"),
    [
        ("def seed(connection, scale, seed): ...\n", "check", "missing"),
        ("def check(connection, acknowledged, indeterminate): ...\n", "seed", "missing"),
        (GOOD.replace("acknowledged, indeterminate", "acknowledged"), "check", "indeterminate"),
        (GOOD.replace("scale, seed", "scale"), "seed", "seed(connection, scale, seed)"),
        (GOOD + "check = 5\n", "check", "missing"),
        ("import no_such_package\n", "module", "no_such_package"),
        ("raise RuntimeError('broken inside')\n", "module", "broken inside"),
        ("def (\n", "module", "SyntaxError"),
    ],
    ids=["no check", "no seed", "check of 2", "seed of 2", "not a function", "bad import", "raises", "syntax"],
)
def test_refuses_a_wrong_package(package: Path, source: str, field: str, said: str) -> None:
    package.write_text(source)
    with pytest.raises(DefinitionError) as caught:
        load()
    assert caught.value.field == field
    assert said in str(caught.value)


MONGO = "def seed_mongo(database, scale, seed): ...\ndef check_mongo(database, acknowledged, indeterminate): ...\n"


@pytest.mark.parametrize(
    ("source", "topology", "missing"),
    [
        (MONGO, Topology(postgres=None, mongo=MongoReplicaSet()), None),
        (GOOD + MONGO, Topology(mongo=MongoReplicaSet()), None),
        (GOOD, Topology(mongo=MongoReplicaSet()), "seed_mongo"),
        (GOOD, Topology(postgres=None, mongo=MongoReplicaSet()), "seed_mongo"),
        (MONGO, Topology(mongo=MongoReplicaSet()), "seed"),
        (MONGO.partition("def check")[0], Topology(postgres=None, mongo=MongoReplicaSet()), "check_mongo"),
    ],
    ids=["mongo for mongo", "both for both", "postgres for both", "postgres for mongo", "mongo for both", "no check"],
)
def test_what_a_topology_needs_must_be_there(
    package: Path, source: str, topology: Topology, missing: str | None
) -> None:
    package.write_text(source)
    if missing is None:
        load(topology)
        return
    with pytest.raises(DefinitionError) as caught:
        load(topology)
    assert caught.value.field == missing


def test_what_no_topology_needs_says_so_when_it_is_called(package: Path) -> None:
    package.write_text(GOOD)
    with pytest.raises(DefinitionError, match="seed_mongo"):
        load().seed_mongo(None, 1.0, 1)  # type: ignore[arg-type]


def test_the_players_are_for_mongo() -> None:
    fixture = datasets.load(
        Dataset(module="fixtures.players", version=1), Topology(postgres=None, mongo=MongoReplicaSet())
    )
    assert fixture.folder.name == "players"


@pytest.mark.parametrize("module", ["fixtures.no_such_dataset", "fixtures.collectibles.seeding"])
def test_refuses_what_is_no_package(module: str) -> None:
    with pytest.raises(DefinitionError, match=module):
        datasets.load(Dataset(module=module, version=1))


def test_the_fingerprint_follows_contents_and_names(package: Path) -> None:
    package.write_text(GOOD)
    schema = package.with_name("schema.sql")
    schema.write_text("CREATE TABLE a ();")
    fixture = load()
    first = fixture.fingerprint()
    assert fixture.fingerprint() == first

    schema.write_text("CREATE TABLE b ();")
    changed = fixture.fingerprint()
    schema.rename(package.with_name("tables.sql"))
    renamed = fixture.fingerprint()
    assert len({first, changed, renamed}) == 3


def test_the_fingerprint_ignores_compiled_files(package: Path) -> None:
    package.write_text(GOOD)
    fixture = load()
    before = fixture.fingerprint()
    compiled = package.parent / "__pycache__" / "x.pyc"
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(b"compiled")
    assert fixture.fingerprint() == before
