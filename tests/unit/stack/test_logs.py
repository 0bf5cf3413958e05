"""What is saved of a server's logs."""

from __future__ import annotations

from pathlib import Path

from harness.stack.logs import Logs


def saved(logs: Logs, folder: Path, name: str | None = None) -> dict[str, str]:
    """What is saved now, by file."""
    logs.save(folder, name=name)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_what_was_logged_before_the_mark_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    (log / "postgres.log").write_text("before\n")
    logs = Logs(log)
    assert saved(logs, tmp_path / "all") == {"postgres.log": "before\n"}
    logs.mark()
    with (log / "postgres.log").open("a") as more:
        more.write("after\n")
    (log / "postgres.json").write_text("{}\n")
    assert saved(logs, tmp_path / "deep" / "since") == {"postgres.log": "after\n", "postgres.json": "{}\n"}
    assert (log / "postgres.log").read_text() == "before\nafter\n"


def test_only_logs_are_saved(tmp_path: Path) -> None:
    (tmp_path / "postgres.d").mkdir()
    for name in ("postgres.log", ".base-backup", "other"):
        (tmp_path / name).write_text(name)
    assert saved(Logs(tmp_path, "postgres.*"), tmp_path / "saved") == {"postgres.log": "postgres.log"}


def test_a_servers_only_log_gets_its_name_and_may_be_missing(tmp_path: Path) -> None:
    logs = Logs(tmp_path, "mongod.log")
    logs.mark()
    assert saved(logs, tmp_path / "none", "mongo-1.log") == {}
    (tmp_path / "mongod.log").write_text("up\n")
    assert saved(logs, tmp_path / "one", "mongo-1.log") == {"mongo-1.log": "up\n"}
