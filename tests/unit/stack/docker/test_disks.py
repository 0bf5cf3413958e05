"""Where containers keep their data: what may be chosen, and what the engine is then asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import StackError
from harness.stack.docker import disks
from harness.stack.docker.disks import Disks


def test_the_engine_keeps_them_unless_something_else_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for said in (None, "", "engine"):
        if said is None:
            monkeypatch.delenv(disks.VARIABLE, raising=False)
        else:
            monkeypatch.setenv(disks.VARIABLE, said)
        found = Disks.chosen(tmp_path)
        assert found.where == "engine"
        assert found.make("postgres") is None
    assert list(tmp_path.iterdir()) == []


def test_each_container_has_a_folder_of_its_own_that_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(disks.VARIABLE, "tmpdir")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = Disks.chosen(tmp_path)
    assert found.where == "tmpdir"
    first, again = found.make("mongo-1"), found.make("mongo-1")
    assert first is not None
    assert again is not None
    assert first.folder != again.folder
    volume = first.volume("/data/db")
    assert (volume["Type"], volume["Target"], volume["Source"]) == ("volume", "/data/db", None)
    options = volume["VolumeOptions"]["DriverConfig"]
    device = Path(options["Options"]["device"])
    assert (options["Name"], options["Options"]) == ("local", {"type": "none", "o": "bind", "device": str(device)})
    assert device.is_relative_to(tmp_path)
    (device / "file").touch()
    first.remove()
    assert not first.folder.exists()
    assert again.folder.is_dir()


def test_anything_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(disks.VARIABLE, "memory")
    with pytest.raises(StackError, match="FLASHCROWD_CONTAINER_DISKS is 'memory': it may be engine or tmpdir"):
        Disks.chosen(tmp_path)


def test_only_root_can_remove_what_servers_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(disks.VARIABLE, "tmpdir")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StackError, match="needs root"):
        Disks.chosen(tmp_path)
