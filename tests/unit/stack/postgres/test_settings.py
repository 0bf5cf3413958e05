"""What a server of ours is set to."""

from __future__ import annotations

import pytest

from harness.stack.postgres.settings import full_settings


@pytest.mark.parametrize(
    ("asked", "has_statements", "expected"),
    [
        ("", True, "pg_stat_statements"),
        ("auto_explain", True, "auto_explain,pg_stat_statements"),
        ("pg_stat_statements, auto_explain", True, "pg_stat_statements,auto_explain"),
        ("", False, ""),
        ("auto_explain", False, "auto_explain"),
    ],
)
def test_statements_are_loaded_where_they_can_be(asked: str, has_statements: bool, expected: str) -> None:
    settings = full_settings(
        {"shared_preload_libraries": asked}, log_folder="/log", has_json=True, has_statements=has_statements
    )
    assert settings["shared_preload_libraries"] == expected
    assert ("pg_stat_statements.track" in settings) == has_statements


@pytest.mark.parametrize(("has_json", "expected"), [(True, "stderr,jsonlog"), (False, "stderr")])
def test_json_is_logged_where_it_can_be(has_json: bool, expected: str) -> None:
    settings = full_settings({"log_destination": "syslog"}, log_folder="/log", has_json=has_json)
    assert settings["log_destination"] == expected
