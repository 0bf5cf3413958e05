"""What is said of where a run was measured."""

from pathlib import Path

import pytest

from harness.report.html.environment import environment
from harness.report.html.side import sides
from harness.verdict import combine, judge
from tests.unit.runs import RunBuilder, steady

APPLICATION = {
    "pool_size": 60,
    "pool_wait_limit_s": None,
    "settings": {"jit": "off"},
    "mongo": {"write_concern": "majority", "journal": None},
}


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        ({"postgres": {"version": "18.6"}}, "pool_size 60, settings jit off"),
        ({"mongo": {"version": "6.0.5"}}, "pool_size 60, settings jit off, mongo write_concern majority"),
    ],
    ids=["without MongoDB", "with MongoDB"],
)
def test_the_application_says_what_it_declares(tmp_path: Path, stack: dict[str, object], said: str) -> None:
    run = RunBuilder(folder=tmp_path / "before", requests=steady()).write()
    run.meta.update(application=APPLICATION, stack={"provider": "embedded", **stack})
    facts = {fact.name: fact.values for fact in environment(sides(combine("one", [judge(run)]), [run]))}
    assert facts["Application"] == (said,)
