"""Sources of CPU are read, or refused without a word of their passwords."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.stack.external.exporters import parse


def test_the_one_server_need_not_be_named() -> None:
    (source,) = parse(["http://db:9100/metrics"], ["postgres"])
    assert (source.server, source.url, source.login, dict(source.labels)) == (
        "postgres",
        "http://db:9100/metrics",
        None,
        {},
    )
    assert source.is_exporter


def test_labels_stand_behind_a_hash_and_a_login_becomes_a_header() -> None:
    first, second = parse(
        [
            "postgres=https://me:Rumpel%40stilz@prom/base/#instance=db1:9100&job=node",
            "mongo-1=http://c:8080/metrics?x=1#name=m",
        ],
        ["postgres", "mongo-1"],
    )
    assert (first.url, first.is_exporter) == ("https://prom/base/", False)
    assert dict(first.labels) == {"instance": "db1:9100", "job": "node"}
    assert first.login == "Basic bWU6UnVtcGVsQHN0aWx6"
    assert "bWU6" not in repr(first) and "stilz" not in repr(first)
    assert (second.server, second.url, dict(second.labels)) == ("mongo-1", "http://c:8080/metrics?x=1", {"name": "m"})


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["me:Rumpelstilz@db:9100"], "cannot be read"),
        (["file:///etc/Rumpelstilz"], "cannot be read"),
        (
            ["http://me:Rumpelstilz@db/metrics"],
            "does not say of which server; write SERVER=URL, where SERVER is a or b",
        ),
        (["c=http://me:Rumpelstilz@db/metrics"], "c is no server here"),
        (["a=http://x/metrics", "a=http://y/metrics"], "two sources for a"),
    ],
)
def test_refused(texts: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse(texts, ["a", "b"])
    assert "Rumpel" not in str(refused.value)
