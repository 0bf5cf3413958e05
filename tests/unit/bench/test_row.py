"""Ratios, medians and what a row says of them."""

import pytest

from tests.bench.rounds import interleaved
from tests.bench.row import Limit, NotMeasured, State, of_pairs, of_values

LIMIT = Limit(comparator=">=", value=0.9)


def test_each_ratio_is_of_one_round() -> None:
    rounds = [{"ours": 90.0, "theirs": 100.0}, {"ours": 30.0, "theirs": 20.0}, {"ours": 80.0, "theirs": 100.0}]
    row = of_pairs("f", "w", rounds, "ours", "theirs", limit=LIMIT, unit="/s")
    assert row.each == (0.9, 1.5, 0.8)
    assert row.value == 0.9 and row.state is State.REACHED
    assert row.to_json()["min_max"] == [0.8, 1.5]
    assert row.detail["pairs"][1] == {"ours": 30.0, "theirs": 20.0}
    assert row.note == "ours 80/s, theirs 100/s"


@pytest.mark.parametrize(
    ("comparator", "limit", "value", "state"),
    [
        (">=", 0.9, 0.8999, State.NOT_REACHED),
        ("<=", 1.0, 1.0, State.REACHED),
        ("<=", 1.0, 1.0001, State.NOT_REACHED),
        ("==", 0.0, 0.0, State.REACHED),
        ("==", 0.0, 1.0, State.NOT_REACHED),
    ],
)
def test_a_value_is_held_against_its_limit(comparator: str, limit: float, value: float, state: State) -> None:
    assert of_values("f", "w", [value], limit=Limit(comparator=comparator, value=limit)).state is state


def test_what_nothing_is_promised_of_is_reported() -> None:
    assert of_values("f", "w", [1.0, 3.0]).state is State.REPORTED
    assert of_values("f", "w", [1.0, 3.0]).value == 2.0


def test_no_value_and_no_ratio_are_failures_and_not_zero() -> None:
    with pytest.raises(NotMeasured):
        of_values("f", "w", [])
    with pytest.raises(NotMeasured):
        of_pairs("f", "w", [{"a": 1.0, "b": 0.0}], "a", "b", limit=None, unit="")


async def test_sides_take_turns() -> None:
    order: list[str] = []

    async def side(name: str) -> float:
        order.append(name)
        return float(len(order))

    rounds = await interleaved(2, {"a": lambda: side("a"), "b": lambda: side("b")}, lambda _: None)
    assert order == ["a", "b", "b", "a"]
    assert rounds == [{"a": 1.0, "b": 2.0}, {"a": 4.0, "b": 3.0}]
