"""The offline MongoDB image is used like the official one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pymongo
import pytest
from docker.models.containers import Container
from pymongo.errors import OperationFailure, PyMongoError

from harness.stack.docker.images import Image
from tests.integration.command import until
from tests.integration.docker.conftest import Run
from tests.integration.docker.containers import address, ended, printed, put, users

pytestmark = pytest.mark.docker


def connected(container: Container, **arguments: Any) -> pymongo.MongoClient[dict[str, Any]]:
    """A client of the mongod in a container, as soon as that answers there; the caller closes it."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
        address(container), directConnection=True, serverSelectionTimeoutMS=1000, **arguments
    )

    def answers() -> bool:
        container.reload()
        assert container.status == "running", printed(container)
        try:
            return bool(client.admin.command("ping")["ok"])
        except PyMongoError as error:
            if isinstance(error, OperationFailure):
                raise
            return False

    until(answers, "mongod in a container answers")
    return client


def test_a_member_of_a_replica_set_starts_and_stops_in_order(offline: Mapping[str, Image], run: Run) -> None:
    container = run(offline["mongo"].reference, "--replSet", "rs0", "--setParameter", "enableTestCommands=1")
    with connected(container) as client:
        member = {"_id": 0, "host": f"{address(container)}:27017"}
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
        until(lambda: client.admin.command("hello")["isWritablePrimary"], "the only member is primary")
        client.shop.item.insert_one({"_id": 1})
        assert users(container) == {"999"}
        settings = client.admin.command("getParameter", enableTestCommands=1)
        assert settings["enableTestCommands"] is True
    container.stop(timeout=60)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0
    container.start()
    with connected(container) as client:
        assert client.shop.item.find_one() == {"_id": 1}


def test_the_first_user_is_made_and_everybody_else_refused(offline: Mapping[str, Image], run: Run) -> None:
    name, password = "chéf", 'it\'s "sécret" \\ $'
    container = run(
        offline["mongo"].reference,
        environment={"MONGO_INITDB_ROOT_USERNAME": name, "MONGO_INITDB_ROOT_PASSWORD": password},
        begin=False,
    )
    put(container, "/docker-entrypoint-initdb.d", one_sh=("echo the script saw $MONGO_INITDB_ROOT_USERNAME", 0o644))
    container.start()
    with connected(container, username=name, password=password) as client:
        (user,) = client.admin.command("usersInfo")["users"]
        assert (user["user"], user["roles"]) == (name, [{"role": "root", "db": "admin"}])
        client.shop.item.insert_one({"_id": 1})
    with connected(container) as client, pytest.raises(OperationFailure, match="requires authentication"):
        client.shop.item.find_one()
    assert f"the script saw {name}" in printed(container)
    assert "sécret" not in printed(container)
    assert "sécret" not in str(container.top(ps_args="-eo uid,pid,args"))
    container.restart(timeout=60)
    with connected(container, username=name, password=password) as client:
        assert client.shop.item.find_one() == {"_id": 1}


def test_a_member_with_a_key_lets_the_first_user_initiate_the_set(offline: Mapping[str, Image], run: Run) -> None:
    login = {"username": "me", "password": "x"}
    container = run(
        offline["mongo"].reference,
        *("--replSet", "rs0", "--keyFile=/etc/mongo.key", "--port", "27117"),
        environment={"MONGO_INITDB_ROOT_USERNAME": "me", "MONGO_INITDB_ROOT_PASSWORD": "x"},
        begin=False,
    )
    put(container, "/etc", mongo_key=("c29tZXRoaW5nIHNlY3JldA==\n", 0o400))
    container.start()
    with connected(container, port=27117, **login) as client:
        member = {"_id": 0, "host": f"{address(container)}:27117"}
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
        until(lambda: client.admin.command("hello")["isWritablePrimary"], "the only member is primary")
        client.shop.item.insert_one({"_id": 1})


@pytest.mark.parametrize(
    ("environment", "command", "script", "said"),
    [
        pytest.param(
            {"MONGO_INITDB_ROOT_USERNAME": "x"}, (), None, "set both MONGO_INITDB_ROOT_USERNAME and", id="half"
        ),
        pytest.param(
            {"MONGO_INITDB_ROOT_USERNAME": "x", "MONGO_INITDB_ROOT_PASSWORD": "x"},
            ("--replSet", "rs0"),
            None,
            "give --keyFile as well",
            id="no key",
        ),
        pytest.param({}, (), "one_js", "this image has no mongosh", id="JavaScript"),
        pytest.param({}, ("--no-such-option",), None, "unrecognised option", id="option"),
    ],
)
def test_what_is_wrong_ends_the_container_and_is_said(
    offline: Mapping[str, Image],
    run: Run,
    environment: dict[str, str],
    command: tuple[str, ...],
    script: str | None,
    said: str,
) -> None:
    container = run(offline["mongo"].reference, *command, environment=environment, begin=False)
    if script is not None:
        put(container, "/docker-entrypoint-initdb.d", **{script: ("db.x.insertOne({})", 0o644)})
    container.start()
    status, text = ended(container)
    assert status != 0 and said in text


def test_other_commands_are_passed_through(offline: Mapping[str, Image], run: Run) -> None:
    status, text = ended(run(offline["mongo"].reference, "mongod", "--version"))
    assert status == 0 and text.startswith("db version v6.0.")
