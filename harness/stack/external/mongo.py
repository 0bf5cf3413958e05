"""A MongoDB replica set of one's own: checked, seeded, reset; never started, stopped or configured.

1 connect, ask the set for its members, and refuse a database that is not marked or that holds somebody's collections
2 refuse a user who cannot see what the probes ask for
3 seed the database, or find it seeded
4 the run; between variants the data is seeded anew, unless it is as it was

There is no transaction around a seeding: while it or a run is under way our recipe says so, and whatever a killed one left is
known by that as ours.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Self

from bson import json_util
from pymongo import MongoClient, WriteConcern
from pymongo.driver_info import DriverInfo
from pymongo.errors import OperationFailure, PyMongoError

from harness.dataset import Document, Documents, Fixture
from harness.errors import StackError
from harness.model import MongoReplicaSet
from harness.stack.external import mongo_marker
from harness.stack.external.mongo_marker import PREFIX
from harness.stack.external.mongo_uri import MongoAddress
from harness.stack.external.objects import named
from harness.stack.mongo.members import Member, ReplicaSet
from harness.stack.recipe import Recipe

APPLICATION_NAME = "flashcrowd-stack"
#: The probes leave connections of this name out of their figures.
UNCOUNTED = "flashcrowd-probe"
SELECT_S = 10.0
FOLLOW_S = 60.0
LEAVE_S = 3.0  # a connection that was closed just now is still listed
_LOOK_AGAIN_S = 0.05
#: To be raised whenever this module puts something else into a database.
MADE_WITH = {"external": 1}
RECIPES = f"{PREFIX}recipe"
_ID = "recipe"
_UNAUTHORIZED = 13
#: What the probes ask of every member: the role clusterMonitor has all of it.
_ASKED = ("serverStatus", "replSetGetStatus")
NOT_MEASURED = "servers of one's own: CPU and memory of the members are not measured, and their logs are not read"

Client = MongoClient[Document]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionsRecipe(Recipe):
    """What the data in a replica set of one's own is made of; which members hold it makes no difference."""

    def made_with(self) -> Mapping[str, object]:
        """Our seeding."""
        return MADE_WITH


class ExternalMongo:
    """A replica set that is there already; made by :meth:`up`.

    :ivar replica_set: where its members are, at the database that is loaded
    """

    def __init__(self, replica_set: ReplicaSet, recipe: CollectionsRecipe, say: Callable[[str], None]) -> None:
        self.replica_set = replica_set
        self._recipe, self._say = recipe, say
        self._key = recipe.digest()

    @classmethod
    @contextmanager
    def up(
        cls,
        asked: MongoReplicaSet,
        address: MongoAddress,
        fixture: Fixture,
        *,
        scale: float,
        seed: int,
        say: Callable[[str], None],
    ) -> Iterator[Self]:
        """Take a replica set with a seeded dataset; it is left as it is at the end.

        :raises StackError: it may not be used, or cannot be
        """
        found = look_up(address)
        with connected(found) as client:
            database = client[found.database]
            mongo_marker.check(database, found.name, address.shown)
            refuse_foreign(database, address.shown)
            _check_privileges(client, found)
        notes = [NOT_MEASURED, *address.notes, *_differing(asked, found)]
        server = cls(
            replace(found, notes=tuple(notes)), CollectionsRecipe(fixture=fixture, scale=scale, seed=seed), say
        )
        with _alone(found, address.shown), server._watched():
            server.reset()
            for note in notes:
                say(note)
            yield server

    def reset(self) -> None:
        """Put the data back to exactly the seeded state, on every member.

        :raises StackError: the set does not do it, or somebody took the marker away meanwhile
        """
        with connected(self.replica_set) as client:
            database = client[self.replica_set.database]
            mongo_marker.check(database, self.replica_set.name, f"{database.name} of {self.replica_set.name}")
            recipe = database[RECIPES].find_one({"_id": _ID}) or {}
            state = _state_of(database)
            if state is not None and (recipe.get("key"), recipe.get("state")) == (self._key, state):
                return
            self._seed_into(database)
            self._await_followers(database)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Have it on record that a run is under way, and at the end what collections it leaves: an application makes some by
        writing into them, and the next run must know them from somebody's."""
        with connected(self.replica_set) as client:
            recipes = client[self.replica_set.database][RECIPES]
            recipes.update_one({"_id": _ID}, {"$set": {"watched": True}}, upsert=True)
        try:
            yield
        finally:
            # A set that is gone keeps the word that a run is under way, as after a kill.
            with suppress(StackError, PyMongoError), connected(self.replica_set) as client:
                database = client[self.replica_set.database]
                left = {"$set": {"collections": _held(database), "watched": False}}
                database[RECIPES].update_one({"_id": _ID}, left)

    def describe(self) -> dict[str, Any]:
        """The object ``stack.mongo`` of run.json."""
        return {
            "version": self.replica_set.version,
            "members": [{"name": member.name, "cpus": None, "cores": None} for member in self.replica_set.members],
            "cache_bytes": None,
            "parameters": {},
            "failpoints": False,
            "notes": list(self.replica_set.notes),
        }

    def _seed_into(self, database: Documents) -> None:
        begun = time.monotonic()
        self._say(f"seeding {self._recipe.fixture.module} into MongoDB at scale {self._recipe.scale:g}")
        recipes = database[RECIPES].with_options(write_concern=WriteConcern(w="majority"))
        recipes.replace_one({"_id": _ID}, {"watched": True}, upsert=True)
        # Nobody's were there when the stack came up, so all that are there now were made by a seeding or on our watch.
        for name in _held(database):
            database.drop_collection(name)
        quick = database.client.get_database(database.name, write_concern=WriteConcern(w=1))
        self._recipe.fixture.seed_mongo(quick, self._recipe.scale, self._recipe.seed)
        recipe = {"key": self._key, "state": _state_of(database), "watched": True}
        recipes.replace_one({"_id": _ID}, recipe)
        self._say(f"seeded {self._recipe.fixture.module} into MongoDB in {time.monotonic() - begun:.1f} s")

    def _await_followers(self, database: Documents) -> None:
        """Until every member has all of it."""
        every = WriteConcern(w=len(self.replica_set.members), wtimeout=int(FOLLOW_S * 1000))
        marks = database[RECIPES].with_options(write_concern=every)
        marks.update_one({"_id": _ID}, {"$currentDate": {"followed_at": True}})


def look_up(address: MongoAddress) -> ReplicaSet:
    """The set as it describes itself, its primary first.

    :raises StackError: it does not answer, is none, or has no primary
    """
    seeds = ReplicaSet(
        name="",
        members=tuple(
            Member(name="", host=host.rpartition(":")[0], port=int(host.rpartition(":")[2]), cpus=None)
            for host in address.hosts
        ),
        database=address.database,
        version="",
        user=address.user,
        password=address.password,
        options=address.options,
    )
    said = "none of the hosts answers"
    for seed in seeds.members:
        try:
            with _client(seeds.uri_of(seed)) as client:
                hello = client.admin.command("hello")
                if "setName" not in hello:
                    raise StackError(
                        f"{address.shown} is no member of a replica set: start it with --replSet and initiate it, one member is enough"
                    )
                if "primary" not in hello:
                    said = f"replica set {hello['setName']} has no primary"
                    continue
                names = [hello["primary"], *(one for one in hello["hosts"] if one != hello["primary"])]
                names += hello.get("passives", [])
                version = client.server_info()["version"]
        except PyMongoError as error:
            said = f"{seed.host}:{seed.port}: {' '.join(str(error).split())}"
            continue
        members = tuple(
            Member(name=f"mongo-{number}", host=name.rpartition(":")[0], port=int(name.rpartition(":")[2]), cpus=None)
            for number, name in enumerate(names, 1)
        )
        return replace(seeds, name=hello["setName"], members=members, version=version)
    raise StackError(f"{address.shown} cannot be used: {said}")


@contextmanager
def connected(replica_set: ReplicaSet) -> Iterator[Client]:
    """A client of the whole set.

    :raises StackError: the set refuses what is done with it, or goes away; with the role that would give the privilege
    """
    with _translated(replica_set), _client(replica_set.uri()) as client:
        yield client


@contextmanager
def _translated(replica_set: ReplicaSet) -> Iterator[None]:
    where = f"{replica_set.database} of {replica_set.name}"
    try:
        yield
    except OperationFailure as error:
        lacks = error.code == _UNAUTHORIZED
        raise StackError(f"{where}: {mongo_marker.refusal(error, replica_set.database) if lacks else error}") from error
    except PyMongoError as error:
        raise StackError(f"{where}: {error}") from error


@contextmanager
def _alone(replica_set: ReplicaSet, where: str) -> Iterator[None]:
    """Keep other runs off the database meanwhile: each has a connection open that says so, and looks for others'.

    :raises StackError: another run has it
    """
    token, holds = secrets.token_hex(8), f"flashcrowd holds {replica_set.database}"
    with MongoClient[Document](
        replica_set.uri(),
        appname=UNCOUNTED,
        driver=DriverInfo(name=holds, version=token),
        serverSelectionTimeoutMS=int(SELECT_S * 1000),
    ) as holder:
        with _translated(replica_set):
            ends = time.monotonic() + LEAVE_S
            while others := _others(holder, holds, token):
                if time.monotonic() > ends:
                    raise StackError(
                        f"{where} is in use by another run of flashcrowd ({others} connections): wait for it, or name another database"
                    )
                time.sleep(_LOOK_AGAIN_S)
        yield


def _others(client: Client, holds: str, token: str) -> int:
    """Connections of other runs that hold the database."""
    current = {"$currentOp": {"allUsers": True, "idleConnections": True}}
    told = {"$match": {"clientMetadata.driver.name": {"$regex": f"\\|{re.escape(holds)}$"}}}
    found = client.admin.aggregate([current, told])
    return sum(not one["clientMetadata"]["driver"]["version"].endswith(f"|{token}") for one in found)


def refuse_foreign(database: Documents, where: str) -> None:
    """Refuse a database with collections that no seeding of ours made.

    :raises StackError: there are such collections
    """
    recipe = database[RECIPES].find_one({"_id": _ID}) or {}
    if recipe.get("watched"):
        return  # a run or a seeding was killed: whatever has come since was its
    ours = recipe.get("collections", [])
    foreign = [name for name in _held(database) if name not in ours]
    if foreign:
        raise StackError(
            f"{where} holds {len(foreign)} collection{'s' if len(foreign) > 1 else ''} that neither the dataset nor flashcrowd "
            f"made ({named(foreign)}): name a database that is there for nothing else, or drop them yourself if they are not needed"
        )


def _client(uri: str) -> Client:
    limit_ms = int(SELECT_S * 1000)
    return MongoClient(
        uri, appname=APPLICATION_NAME, serverSelectionTimeoutMS=limit_ms, connectTimeoutMS=limit_ms, tz_aware=True
    )


def _held(database: Documents) -> list[str]:
    """Its collections and views but for ours and the system's, in order."""
    names = database.list_collection_names()
    return sorted(name for name in names if not name.startswith((PREFIX, "system.")))


def _state_of(database: Documents) -> str | None:
    """A digest of all documents and indexes but ours; None where the server does not give one."""
    try:
        digests = database.command("dbHash", collections=_held(database))["collections"]
        indexes = {name: database[name].index_information() for name in digests}
    except OperationFailure:
        return None
    return hashlib.sha256(json_util.dumps([digests, indexes], sort_keys=True).encode()).hexdigest()


def _check_privileges(client: Client, found: ReplicaSet) -> None:
    lacking = []
    for command in _ASKED:
        try:
            client.admin.command(command)
        except OperationFailure as error:
            if error.code == _UNAUTHORIZED:
                lacking.append(command)
    if lacking:
        raise StackError(
            f"user {found.user} may not run {' and '.join(lacking)}, which the probes ask of every member; somebody who may: "
            f"db.getSiblingDB('admin').grantRolesToUser({found.user!r}, [{{role: 'clusterMonitor', db: 'admin'}}])"
        )


def _differing(asked: MongoReplicaSet, found: ReplicaSet) -> Iterator[str]:
    if len(found.members) != asked.members:
        yield f"the incident asks for {asked.members} members; this set has {len(found.members)} that hold data"
    for name, value in asked.parameters.items():
        yield f"the incident asks for {name} = {value}, which is not changed here"
    if asked.failpoints:
        yield "the incident sets failpoints, which these members were hardly started for"
