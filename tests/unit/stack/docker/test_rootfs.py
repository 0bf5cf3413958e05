"""Files of this machine become the same files of an image."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from harness.errors import StackError
from harness.stack.docker import rootfs
from harness.stack.docker.rootfs import RootFilesystem


def members(root: RootFilesystem) -> dict[str, tarfile.TarInfo]:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        root.write(archive, "root")
    with tarfile.open(fileobj=io.BytesIO(written.getvalue())) as archive:
        return {info.name.removeprefix("root/"): info for info in archive}


def test_a_tree_comes_with_its_links_and_only_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tool").write_bytes(b"\x7fELF...")
    (tmp_path / "bin/tool").chmod(0o700)
    (tmp_path / "bin/link").symlink_to("tool")
    (tmp_path / "include").mkdir()
    (tmp_path / "include/header.h").write_text("int x;")
    root = RootFilesystem()
    programs = root.add_tree(tmp_path, "opt/it", wanted=lambda name: name != "include")
    assert programs == [tmp_path / "bin/tool"]
    found = {name: info for name, info in members(root).items() if name.startswith("opt")}
    assert set(found) == {"opt/it", "opt/it/bin", "opt/it/bin/tool", "opt/it/bin/link"}
    assert found["opt/it/bin/link"].linkname == "tool"
    assert found["opt/it/bin/tool"].mode == 0o755, "all may run what its owner may"
    assert {(info.uid, info.gid, info.mtime) for info in found.values()} == {(0, 0, 0)}


def test_a_file_at_its_own_path_brings_the_links_that_lead_to_it(tmp_path: Path) -> None:
    (tmp_path / "lib.so.1.2").write_text("library")
    (tmp_path / "lib.so.1").symlink_to("lib.so.1.2")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/lib.so").symlink_to("../lib.so.1")
    root = RootFilesystem()
    root.add_file(tmp_path / "folder/lib.so")
    at = str(tmp_path.resolve()).lstrip("/")
    found = members(root)
    assert found[f"{at}/folder/lib.so"].linkname == "../lib.so.1"
    assert found[f"{at}/lib.so.1"].linkname == "lib.so.1.2"
    assert found[f"{at}/lib.so.1.2"].isreg()


def test_the_key_tells_content_mode_owner_and_path_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "file"

    def key(text: str = "text", path: str = "etc/file", mode: int = 0o644, owner: int = 0) -> str:
        file.write_text(text)
        root = RootFilesystem()
        root.add_file(file, path, mode=mode)
        root.add_folder("srv", owner=owner)
        return root.key()

    same = key()
    os.utime(file, (1, 1))
    assert key() == same
    others = {key(text="other"), key(path="etc/elif"), key(mode=0o755), key(owner=999)}
    assert len(others) == 4 and same not in others


def test_a_program_comes_with_its_libraries() -> None:
    root = RootFilesystem()
    root.add_programs({"bash": ("bash",)})
    names = set(members(root))
    assert "usr/bin/bash" in names or "bin/bash" in names
    assert any(name.rpartition("/")[2].startswith("libc.so") for name in names)
    assert any("ld-linux" in name for name in names)


def test_programs_that_are_missing_are_all_named_with_their_packages() -> None:
    with pytest.raises(
        StackError, match=r"no-such-tool \(Debian's package tools\), nor-this \(Debian's package tools\)"
    ):
        RootFilesystem().add_programs({"bash": ("bash",), "tools": ("no-such-tool", "nor-this")})


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "_libraries", lambda files: [(None, "libgone.so.1")])
    with pytest.raises(StackError, match=r"libgone\.so\.1 is not on this machine"):
        RootFilesystem().add_libraries([Path("/bin/true")])
    RootFilesystem().add_libraries([Path("/bin/true")], optional=True)
