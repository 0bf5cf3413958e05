"""A MongoDB profile under a plain ``locust -f``, which patches the standard library."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient

from harness.catalog import load_folder
from harness.errors import Exit
from harness.load.arrivals import schedule
from harness.stack.mongo.members import ReplicaSet
from tests.integration.command import INCIDENTS, TRAFFIC_OVER, Place

LOCUST = (str(Path(sys.executable).with_name("locust")),)
USERS = ("-f", str(INCIDENTS / "saves" / "users.py"), "--headless", "--json")


@pytest.mark.server
def test_headless(mongo: ReplicaSet, place: Place) -> None:
    arguments = (*USERS, "-u", "1")
    command = place.begin(*arguments, program=LOCUST, FLASHCROWD_MONGO=mongo.uri(), FLASHCROWD_VARIANT="after")
    command.await_text(TRAFFIC_OVER)
    command.process.terminate()
    assert command.end() == 0, command.printed
    told, _ = json.JSONDecoder().raw_decode(command.printed[command.printed.index("\n[\n") + 1 :])
    scheduled = schedule(load_folder(INCIDENTS / "saves").traffic, 1).counts()
    assert {one["name"]: (one["method"], one["num_requests"], one["num_failures"]) for one in told} == {
        name: ("MongoDB", count, 0) for name, count in scheduled.items()
    }
    with MongoClient(mongo.uri()) as client:
        players = client[mongo.database].players
        ids = [one for player in players.find({"saves": {"$gt": 0}}) for one in player["saved_by"]]
        assert len(ids) == len(set(ids)) == scheduled["save_progress"], "what Locust shows is what the database holds"
        players.update_many({"saves": {"$gt": 0}}, {"$set": {"saves": 0, "saved_by": []}})
    assert "Traceback" not in command.printed, command.printed


@pytest.mark.parametrize("address", ["", "mongodb://me:secret@127.0.0.1"], ids=["missing", "without a database"])
def test_an_address_that_cannot_be_used_ends_it_with_a_word(place: Place, address: str) -> None:
    command = place.begin(*USERS, "-u", "2", "-t", "30s", program=LOCUST, FLASHCROWD_MONGO=address)
    assert command.end(20) == Exit.USAGE, command.printed
    assert "flashcrowd: environment: FLASHCROWD_MONGO" in command.printed
    assert "Traceback" not in command.printed and "secret" not in command.printed
