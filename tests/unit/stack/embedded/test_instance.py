"""Folders of servers and the note of who owns them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from harness.errors import StackError
from harness.stack.embedded import account as accounts
from harness.stack.embedded import instance as instances
from harness.stack.embedded.shared_memory import SharedMemory
from harness.stack.embedded.sweep import is_left, sweep
from harness.stack.processes import Identity


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_the_folder_is_there_with_its_owner_and_gone_after() -> None:
    with instances.make(accounts.for_servers()) as instance:
        owner = instance.owner()
        assert owner.harness == Identity.of(os.getpid())
        assert owner.server is None
        assert instance.log.is_dir()
        memory = SharedMemory(files=(("/dev/shm/PostgreSQL.1", 7),), segment=(-5, 9))
        instance.record(owner.harness, memory)
        assert (instance.owner().server, instance.owner().memory) == (owner.harness, memory)
    assert not instance.folder.exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_folder_is_gone_after_an_exception(error: type[BaseException]) -> None:
    with pytest.raises(error), instances.make(accounts.for_servers()) as instance:
        raise error
    assert not instance.folder.exists()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"flashcrowd-{os.geteuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StackError, match="not ours"):
        instances.base()


def test_a_sweep_leaves_the_living_and_removes_the_dead() -> None:
    with instances.make(accounts.for_servers()) as living:
        dead = instances.Instance(folder=instances.base() / "deadbeef")
        dead.data.mkdir(parents=True)
        harness = Identity.of(os.getpid())
        # A process of the same number that began at another time: the number was given away since.
        (dead.folder / instances.OWNER).write_text(
            f'{{"harness": {{"pid": {harness.pid}, "started_s": {harness.started_s - 3600}}},'
            ' "postmaster": null, "memory": {"files": [], "segment": null}}'
        )
        ownerless = instances.Instance(folder=instances.base() / "00000000")
        ownerless.folder.mkdir()
        assert is_left()
        said = sweep()
        assert living.folder.is_dir()
        assert not dead.folder.exists()
        assert not ownerless.folder.exists()
        assert [str(dead.folder) in said[1], str(ownerless.folder) in said[0], len(said)] == [True, True, 2]
        assert not is_left()
        assert sweep() == []
