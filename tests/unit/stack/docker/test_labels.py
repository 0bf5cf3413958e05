"""Whose a container is, and whether its owner is gone."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from harness.stack.docker import labels
from harness.stack.docker.labels import Labels


def test_what_this_process_labels_is_its_own_and_not_left() -> None:
    found = Labels(stack="flashcrowd-1").all("postgres")
    who = labels.owner(found)
    assert who is not None
    assert who.pid == os.getpid()
    assert who.lives()
    assert not labels.is_left(found)
    assert (found[labels.STACK], found[labels.NAME]) == ("flashcrowd-1", "postgres")


def test_what_a_dead_process_labelled_is_left() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started_s = psutil.Process(process.pid).create_time()
    found = {**Labels(stack="one").all(), labels.OWNER: f"{process.pid}@{started_s:.2f}"}
    assert not labels.is_left(found)
    process.communicate()
    assert labels.is_left(found)


def test_a_number_that_was_given_to_another_process_since_is_not_the_owner() -> None:
    started_s = psutil.Process().create_time()
    found = Labels(stack="one").all()
    assert labels.is_left({**found, labels.OWNER: f"{os.getpid()}@{started_s - 3600:.2f}"})


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({labels.CIRCLE: "another machine", labels.OWNER: "1@1.0"}, id="another machine"),
        pytest.param({labels.CIRCLE: labels.circle(), labels.OWNER: "somebody"}, id="torn"),
        pytest.param({labels.CIRCLE: labels.circle()}, id="nobody's"),
        pytest.param({}, id="a stranger's"),
    ],
)
def test_what_cannot_be_told_to_be_left_is_not(other: dict[str, str]) -> None:
    assert not labels.is_left(other)
