"""Which PostgreSQL is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import StackError
from harness.stack.embedded import account as accounts
from harness.stack.embedded import binaries


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def account() -> accounts.Account:
    """Ourselves, whoever we are."""
    return accounts.Account(name="me", uid=0, gid=0, switched=False)


def test_the_wheel_is_taken_by_default(account: accounts.Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(binaries.FORCED, raising=False)
    found = binaries.locate(account, ())
    assert found.folder.parent.name == "pginstall"
    assert found.version.startswith("postgres (PostgreSQL) 18.")


@pytest.mark.parametrize("named", ["bin", "."])
def test_a_folder_or_its_parent_may_be_named(
    named: str, tmp_path: Path, account: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "bin" / "postgres", "echo 'postgres (PostgreSQL) 16.9'")
    _program(tmp_path / "bin" / "initdb", "exit 0")
    monkeypatch.setenv(binaries.FORCED, str(tmp_path / named))
    found = binaries.locate(account, ())
    assert (found.folder, found.version) == (tmp_path / "bin", "postgres (PostgreSQL) 16.9")


@pytest.mark.parametrize("library", ["pg_stat_statements.so", "plpgsql.so"])
def test_whether_it_came_with_statements(
    library: str, tmp_path: Path, account: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "bin" / "postgres", "echo 'postgres (PostgreSQL) 16.9'")
    _program(tmp_path / "bin" / "initdb", "exit 0")
    monkeypatch.setenv(binaries.FORCED, str(tmp_path))
    assert binaries.locate(account, ()).has_statements, "taken for granted where nobody says where it would be"
    _program(tmp_path / "bin" / "pg_config", f"echo {tmp_path / 'lib'}")
    _program(tmp_path / "lib" / library, "")
    assert binaries.locate(account, ()).has_statements == (library == "pg_stat_statements.so")


def test_a_wrong_folder_is_named(tmp_path: Path, account: accounts.Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(binaries.FORCED, str(tmp_path))
    with pytest.raises(StackError, match=f"{binaries.FORCED}={tmp_path}.*postgres and initdb"):
        binaries.locate(account, ())


def test_a_program_that_does_not_run_is_named_with_its_reason(
    tmp_path: Path, account: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "postgres", "echo 'libpq missing' >&2; exit 127")
    _program(tmp_path / "initdb", "exit 0")
    monkeypatch.setenv(binaries.FORCED, str(tmp_path))
    with pytest.raises(StackError, match="does not run: libpq missing"):
        binaries.locate(account, ())
