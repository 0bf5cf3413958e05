"""The language of criteria: what is written is what is meant, and what cannot be meant is refused with a way out."""

import pytest

from harness.criteria import parse
from harness.errors import DefinitionError
from harness.model import Comparator, Criterion

OPERATIONS = ("craft", "view_recipe")
PHASES = ("calm", "doors open", "burst")


def parsed(text: str) -> Criterion:
    return parse(text, operations=OPERATIONS, phases=PHASES, where="incident.py", field="symptoms[0].criterion")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p99(craft) < 250ms", {"series": "response", "operation": "craft", "statistic": "p99", "limit": 0.25}),
        ("p99.9(craft.service) <= 1 s", {"series": "service", "statistic": "p99.9", "limit": 1.0}),
        ("max( * .lag )>50ms", None),
        ("max(*.lag)>50ms", {"series": "lag", "operation": None, "statistic": "max", "limit": 0.05}),
        ("mean(all.pool_wait) < 5ms", {"series": "pool_wait", "operation": None, "statistic": "mean"}),
        ("errors(craft) < 1%", {"series": "errors", "operation": "craft", "outcome": None, "limit": 0.01}),
        ("errors(craft, 40P01) < 1%", {"series": "errors", "outcome": "40P01"}),
        ("errors(craft) == 0", {"series": "errors", "limit": 0.0, "comparator": Comparator.EQ}),
        ("count(craft, pool_timeout) == 0", {"series": "count", "outcome": "pool_timeout"}),
        ("errors(craft, DuplicateKey) > 0%", {"series": "errors", "outcome": "DuplicateKey"}),
        ("count(craft, wtimeout) == 0", {"series": "count", "outcome": "wtimeout"}),
        ("count(all, error:KeyError) != 3", {"outcome": "error:KeyError", "comparator": Comparator.NE}),
        ("rate(craft) >= 40/s", {"series": "rate", "limit": 40.0, "comparator": Comparator.GE}),
        (
            "max(postgres.connections_used) >= 80%",
            {"series": "postgres.connections_used", "statistic": "max", "limit": 0.8},
        ),
        ("last(pool.waiting) > 3", {"series": "pool.waiting", "statistic": "last", "limit": 3.0}),
        ("p95(postgres.wal) < 20MB/s", {"series": "postgres.wal", "limit": 2e7}),
        ("max(postgres.memory) < 1GiB", {"limit": 1024.0**3}),
        ("postgres.cpu >= 95% for 10s", {"series": "postgres.cpu", "for_s": 10.0, "statistic": None, "limit": 0.95}),
        ("postgres.cpu>=95% for 2m during burst", {"for_s": 120.0, "phase": "burst"}),
        ("deadlocks == 0", {"series": "deadlocks", "statistic": None, "for_s": None, "limit": 0.0}),
        ("deadlocks >= 3 during doors open", {"phase": "doors open", "limit": 3.0}),
        ("p50(craft) > 1s during burst", {"phase": "burst", "statistic": "p50"}),
    ],
)
def test_means(text: str, expected: dict[str, object] | None) -> None:
    if expected is None:  # a blank inside a name is no name
        with pytest.raises(DefinitionError):
            parsed(text)
        return
    got = parsed(text)
    assert got.text == text
    assert {field: getattr(got, field) for field in expected} == expected


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        pytest.param("", "is not a criterion such as", id="nothing"),
        pytest.param("fast please", "is not a criterion such as", id="prose"),
        pytest.param("p99(craft) => 1s", "is not a criterion such as", id="comparator turned round"),
        pytest.param("p99(craft) < 250ms and more", "is not a number with a unit", id="something behind the limit"),
        pytest.param("p99(craft < 250ms", "is not a criterion such as", id="bracket open"),
        pytest.param("p99(craft) < 250", "say ms or s", id="seconds without a unit"),
        pytest.param("p99(craft) < 5%", "say ms or s", id="a share of a time"),
        pytest.param("errors(craft) < 250ms", "say %", id="a time of a share"),
        pytest.param("errors(craft) < 1", "say %", id="a share without a unit"),
        pytest.param("rate(craft) > 40", "say /s", id="a rate without a unit"),
        pytest.param("count(craft) < 5%", "write a bare number", id="a share of a number"),
        pytest.param("max(postgres.memory) < 5", "say MB or GiB", id="bytes without a unit"),
        pytest.param("max(postgres.wal) < 5MB", "say MB/s", id="bytes for bytes per second"),
        pytest.param("max(postgres.memory) < 5MB/s", "not a number with a unit", id="bytes per second for bytes"),
        pytest.param("p99(craft) < 5parsecs", "known units", id="unknown unit"),
        pytest.param("p99(crafty) < 1s", "did you mean craft", id="unknown operation"),
        pytest.param("errors(crafty) < 1%", "did you mean craft", id="unknown operation of errors"),
        pytest.param("p99(craft.servce) < 1s", "did you mean service", id="unknown part"),
        pytest.param("postgres.cpus >= 95% for 10s", "did you mean postgres.cpu", id="unknown series"),
        pytest.param("max(postgres.conections) > 5", "did you mean postgres.connections", id="unknown series of a statistic"),
        pytest.param("p9x(craft) < 1s", "unknown statistic", id="unknown statistic"),
        pytest.param("p100(craft) < 1s", "unknown statistic", id="percentile 100"),
        pytest.param("p0(craft) < 1s", "unknown statistic", id="percentile 0"),
        pytest.param("median(craft) < 1s", "unknown statistic", id="a statistic that is called p50 here"),
        pytest.param("postgres.cpu >= 95%", r"for 10s\), or take one statistic", id="series without statistic or stretch"),
        pytest.param("craft > 1s", r"p99\(craft\)", id="operation without a statistic"),
        pytest.param("max(postgres.cpu) >= 95% for 10s", "leave out either", id="statistic and stretch"),
        pytest.param("p99(craft) > 1s for 10s", "leave out either", id="statistic of requests and stretch"),
        pytest.param("errors(craft) > 1% for 10s", "is for sampled series", id="share and stretch"),
        pytest.param("deadlocks > 1 for 10s", "is for sampled series", id="total and stretch"),
        pytest.param("max(deadlocks) > 1", "is one number for the run", id="statistic of a total"),
        pytest.param("rate(postgres.cpu) > 1/s", "is of requests", id="rate of a sampled series"),
        pytest.param("last(craft) > 1s", "last is of sampled series", id="last of requests"),
        pytest.param("rate(craft, 40P01) > 1/s", "counts what finished ok", id="rate of an outcome"),
        pytest.param("p99(craft, 40P01) > 1s", "only errors and count take one", id="percentile of an outcome"),
        pytest.param("count(craft, 40P1) == 0", "unknown outcome", id="mistyped SQLSTATE"),
        pytest.param("count(craft, pool_timout) == 0", "did you mean pool_timeout", id="mistyped outcome"),
        pytest.param("count(craft, PoolTimeout_) == 0", "unknown outcome", id="neither of ours nor of a server"),
        pytest.param("count(craft, 40P01, 53300) == 0", "wants an operation", id="two outcomes"),
        pytest.param("p99() < 1s", "wants an operation", id="of nothing"),
        pytest.param("p99(craft) < 1s during brust", "did you mean burst", id="unknown phase"),
        pytest.param("postgres.cpu > 9% for 0s", "length above 0", id="stretch of no length"),
        pytest.param("postgres.cpu > 9% for 10MB", "not a duration", id="stretch in bytes"),
    ],
)  # fmt: skip
def test_is_refused_with_a_way_out(text: str, advice: str) -> None:
    with pytest.raises(DefinitionError, match=advice) as refused:
        parsed(text)
    assert (refused.value.where, refused.value.field, refused.value.value) == (
        "incident.py",
        "symptoms[0].criterion",
        text,
    )


def test_an_operation_may_be_named_like_a_part() -> None:
    got = parse("p99(service.service) < 1s", operations=["service"], phases=[], where="w", field="f")
    assert (got.operation, got.series) == ("service", "service")
