"""Makes a replica set of running mongods, and waits until it is whole.

Two ways, for whatever started the mongods:

- :func:`initiate` for empty ones: with one member, to which the others are added one at a time. Initiated with all at
  once a set takes ten seconds to its first write; like this a tenth, and two until all have joined.
- :func:`adopt` for those that hold copies of one member's files: they are told where they are now, and go on from what
  they have, so nothing is copied over the network.

Elections are faster than by default, so that a run need not wait ten seconds for each.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from harness.errors import StackError

NAME = "crowd"  # of the set; members that start from cached files must be given the same
#: A member that hears nothing from its primary for so long stands for election; by default 10 s.
SETTINGS = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200}
SETTLED_S = 60.0
ANSWER_S = 60.0
_LOOK_AGAIN_S = 0.02
_ONE_CALL_S = 5.0
_LOOK_AT_LEAST_S = 0.5

Document = Mapping[str, Any]
Client = MongoClient[Mapping[str, Any]]
#: Raises StackError where a server died, so that nobody waits for it.
Check = Callable[[], None]


def initiate(hosts: Sequence[str], check: Check, *, known_as: Sequence[str] | None = None, **login: Any) -> None:
    """Make a set of empty mongods that were started with ``--replSet`` and :data:`NAME`, and wait until it is whole.

    :param hosts: ``host:port`` of each, as all members and all clients reach it; the first becomes the primary
    :param known_as: what they are called in the set's configuration, where that is something else
    :param login: further arguments of PyMongo's client
    :raises StackError: it did not come about
    """
    with _clients(hosts, login) as clients:
        for host, client in zip(hosts, clients, strict=True):
            _await_answer(host, client, check)
        first, names = clients[0], known_as or hosts
        config = {"_id": NAME, "version": 1, "members": [_member(0, names[0])], "settings": SETTINGS}
        try:
            first.admin.command("replSetInitiate", config)
            _await("the first member to become the primary", lambda: _is_primary(first), check)
            for number, name in enumerate(names[1:], 1):
                _add(first, _member(number, name), check)
        except PyMongoError as error:
            raise StackError(f"the replica set could not be initiated at {', '.join(hosts)}: {error}") from error
        _await_whole(clients, check)


def adopt(hosts: Sequence[str], check: Check, **login: Any) -> None:
    """Make a set of mongods that hold copies of the files of one member of another set, and wait until it is whole.

    :param hosts: as for :func:`initiate`; the first becomes the primary
    :raises StackError: it did not come about
    """
    with _clients(hosts, login) as clients:
        for host, client in zip(hosts, clients, strict=True):
            _await_answer(host, client, check)
        first = clients[0]

        def told() -> bool:
            config = _config(first)
            config["members"] = [_member(number, host) for number, host in enumerate(hosts)]
            config["settings"] = {**config["settings"], **SETTINGS}
            config["version"] += 1
            # Forced: none of those whom the old one names could agree to it.
            first.admin.command("replSetReconfig", config, force=True)
            return True

        # Refused while it has not read yet what set its files are of, which is a moment after it answers.
        _await(f"{hosts[0]} to be told its members {', '.join(hosts)}", told, check)
        _await("the first member to become the primary", lambda: _is_primary(first) or _stepped_up(first), check)
        _await_whole(clients, check)


def step_up(host: str, check: Check, **login: Any) -> None:
    """Have a member elected, and wait until it takes writes.

    :raises StackError: it did not come about
    """
    with _clients([host], login) as (client,):
        _await(f"{host} to become the primary", lambda: _is_primary(client) or _stepped_up(client), check)


def answers(host: str, check: Check, **login: Any) -> None:
    """Wait until a mongod answers, whatever its state.

    :raises StackError: it does not
    """
    # Whoever got its port in its place may never answer: between two looks it is asked whether it died of that.
    with _clients([host], {"serverSelectionTimeoutMS": int(_LOOK_AT_LEAST_S * 1000), **login}) as (client,):
        _await_answer(host, client, check)


def release_failpoints(host: str, **login: Any) -> None:
    """Turn off every failpoint of a mongod; nothing happens where it was started without them.

    :param login: further arguments of PyMongo's client
    :raises PyMongoError: it does not answer
    """
    with direct(host, **login) as client:
        found: dict[str, Any] = client.admin.command("getParameter", "*")
        for name, value in found.items():
            kind, _, failpoint = name.partition(".")
            if kind == "failpoint" and value.get("mode"):
                client.admin.command("configureFailPoint", failpoint, mode="off")


def notes() -> tuple[str, ...]:
    """What a reader of the figures should know of sets made here."""
    return (
        f"elections are faster than by default: a member stands for election after {SETTINGS['electionTimeoutMillis']} ms "
        f"without its primary (10,000 by default), heartbeats are {SETTINGS['heartbeatIntervalMillis']} ms apart (2,000)",
    )


@contextmanager
def direct(host: str, **login: Any) -> Iterator[Client]:
    """A client of one mongod, whatever its state.

    :param login: further arguments of PyMongo's client, such as ``socketTimeoutMS=None`` for what takes its time
    """
    limit_ms = int(_ONE_CALL_S * 1000)
    settings: dict[str, Any] = {
        "connect": False,  # only when it is asked for something: a mongod that does not listen yet would be tried again late
        "directConnection": True,
        "appname": "flashcrowd-stack",
        "serverSelectionTimeoutMS": limit_ms,
        "connectTimeoutMS": limit_ms,
        "socketTimeoutMS": limit_ms,
        "retryReads": False,
        "retryWrites": False,
    }
    with MongoClient[Mapping[str, Any]](host=host, **{**settings, **login}) as client:
        yield client


@contextmanager
def _clients(hosts: Sequence[str], login: Mapping[str, Any]) -> Iterator[list[Client]]:
    with ExitStack() as closing:
        yield [closing.enter_context(direct(host, **login)) for host in hosts]


def _await_answer(host: str, client: Client, check: Check) -> None:
    name, _, port = host.rpartition(":")

    def pong() -> bool:
        # It listens when it is ready; PyMongo's client would look again only every half second.
        socket.create_connection((name.strip("[]"), int(port)), timeout=_ONE_CALL_S).close()
        client.admin.command("ping")
        return True

    _await(f"the mongod at {host} to answer", pong, check, limit_s=ANSWER_S)


def _member(number: int, host: str) -> dict[str, Any]:
    return {"_id": number, "host": host}


def _config(client: Client) -> dict[str, Any]:
    config: dict[str, Any] = client.admin.command("replSetGetConfig")["config"]
    return config


def _add(first: Client, member: Document, check: Check) -> None:
    def added() -> bool:
        config = _config(first)
        if all(there["_id"] != member["_id"] for there in config["members"]):
            config["members"].append(member)
            config["version"] += 1
            first.admin.command("replSetReconfig", config)
        return True

    # Refused while the configuration before it has not reached a majority.
    _await(f"the set to take {member['host']} in", added, check)


def _is_primary(client: Client) -> bool:
    return bool(client.admin.command("hello").get("isWritablePrimary"))


def _stepped_up(client: Client) -> bool:
    client.admin.command("replSetStepUp")
    return False  # elected is not yet writable


def _await_whole(clients: Sequence[Client], check: Check) -> None:
    """Until the first is the primary, each other is a secondary that votes, and has applied something of the primary's."""
    first, others = clients[0], clients[1:]
    missing: list[str] = []

    def whole() -> bool:
        status = first.admin.command("replSetGetStatus")
        primary = [member for member in status["members"] if member["stateStr"] == "PRIMARY" and member.get("self")]
        missing[:] = [
            f"{member['name']} is {member['stateStr']}"
            for member in status["members"]
            if not (member["stateStr"] in ("PRIMARY", "SECONDARY") and _term(member) == status["term"])
        ]
        voting = status["votingMembersCount"] == len(clients)
        return (
            bool(primary)
            and not missing
            and voting
            and all(other.admin.command("hello")["secondary"] for other in others)
        )

    _await("all members to follow the primary", whole, check, said=lambda: "; ".join(missing))


def _term(member: Document) -> int:
    return int(member["optime"]["t"])


def _await(
    what: str, there: Callable[[], bool], check: Check, *, limit_s: float = SETTLED_S, said: Callable[[], str] = str
) -> None:
    begun, last = time.monotonic(), ""
    while True:
        check()
        try:
            if there():
                return
        except (OSError, PyMongoError) as error:  # not yet; an election closes connections, too
            last = str(error)
        waited = time.monotonic() - begun
        if waited > limit_s:
            raise StackError(f"waited {waited:.0f} s for {what}: {said() or last or 'no reason was given'}")
        time.sleep(_LOOK_AGAIN_S)
