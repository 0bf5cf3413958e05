"""Addresses come from the environment or from a file that nobody else may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.stack.external.addresses import read

SECRET = "Rumpelstilzchen-7"
DSN = f"postgresql://me:{SECRET}@db/shop"


def file_with(folder: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    """An environment that names a file of that content."""
    path = folder / "servers.toml"
    path.write_text(text)
    path.chmod(mode)
    return {"FLASHCROWD_EXTERNAL_FILE": str(path)}


def test_the_environment_names_them() -> None:
    found = read({"FLASHCROWD_EXTERNAL_POSTGRES": DSN, "FLASHCROWD_EXTERNAL_REPLICAS": "a b"})
    assert (found.postgres, found.replicas, found.mongo) == (DSN, ("a", "b"), None)
    assert SECRET not in repr(found)


def test_a_file_names_them_and_the_environment_has_the_last_word(tmp_path: Path) -> None:
    environment = file_with(tmp_path, f'postgres = "{DSN}"\nreplicas = ["a"]\nmongo = "m"\n')
    assert read(environment).postgres == DSN
    found = read({**environment, "FLASHCROWD_EXTERNAL_POSTGRES": "other"})
    assert (found.postgres, found.replicas, found.mongo) == ("other", ("a",), "m")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(UsageError, match=r"others may read it.*chmod 600"):
        read(file_with(tmp_path, f'postgres = "{DSN}"', mode))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"postgres = {DSN}", "is no TOML"),
        (f'postgress = "{DSN}"', "postgress: unknown"),
        (f'replicas = "{DSN}"', "must be a list"),
        (f'postgres = ["{DSN}"]', "must be a text"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_without_its_secrets(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        read(file_with(tmp_path, text))
    assert SECRET not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read({"FLASHCROWD_EXTERNAL_FILE": str(tmp_path / "none")})
