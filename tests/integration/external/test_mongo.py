"""A MongoDB replica set of somebody's, with passwords and encryption: marked, seeded, loaded, and what is refused."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from fixtures.players import COLLECTION, size
from harness.clock import Origin
from harness.errors import Exit, StackError
from harness.model import Dataset, MongoReplicaSet, Topology
from harness.probes.mongo import mongo_probes
from harness.stack import cache, processes
from harness.stack.embedded import account as accounts
from harness.stack.embedded import instance as instances
from harness.stack.embedded import mongod_program
from harness.stack.embedded import port as ports
from harness.stack.external.stack import ExternalStack
from harness.stack.mongo.members import Member, ReplicaSet
from tests.integration.command import Place, until
from tests.integration.external.conftest import HOST, SECRET, certify
from tests.integration.external.test_whole_run import run, told_secret

pytestmark = pytest.mark.server

VARIABLE = "FLASHCROWD_EXTERNAL_MONGO"
SCALE = 0.002
MONITOR = {"role": "clusterMonitor", "db": "admin"}
BEATS = {"role": "readWrite", "db": "flashcrowd"}


@dataclass(eq=False)
class OwnSet:
    """A set that is none of ours, as far as flashcrowd knows."""

    port: int
    authority: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def client(self) -> MongoClient:
        """Of its administrator."""
        return MongoClient(self.uri("boss", "admin"), directConnection=True)

    def uri(self, user: str, database: str, options: str = "&authSource=admin") -> str:
        """As a user would write it."""
        tls = f"tls=true&tlsCAFile={quote(str(self.authority), safe='')}"
        return f"mongodb://{user}:{quote(SECRET, safe='')}@{HOST}:{self.port}/{database}?{tls}{options}"

    def make(self, *roles: dict[str, str]) -> tuple[str, str]:
        """A user, and a database that the user may write; both new."""
        number = next(self.numbers)
        user, database = f"user{number}", f"shop{number}"
        with self.client() as client:
            own = {"role": "readWrite", "db": database}
            client.admin.command("createUser", user, pwd=SECRET, roles=[own, *roles])
        return user, database


@contextmanager
def own_set() -> Iterator[OwnSet]:
    """Start one member and make a set of it; ended on every path."""
    account = accounts.for_servers()
    program = mongod_program.locate(account, (cache.cache_folder(), instances.base()))
    with instances.make(account) as instance:
        instance.data.mkdir()
        certificate, key = certify(instance.folder)
        both, shared = instance.folder / "both.pem", instance.folder / "shared.key"
        both.write_text(certificate.read_text() + key.read_text())
        shared.write_text("c2hhcmVkIGJ5IGFsbCBtZW1iZXJz")
        shared.chmod(0o400)
        account.own(instance.folder)
        port = ports.lasting()
        mongod = subprocess.Popen(
            [str(program.path), "--dbpath", str(instance.data), "--bind_ip", HOST, "--port", str(port), "--nounixsocket",
             "--replSet", "own", "--keyFile", str(shared), "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(both),
             "--tlsCAFile", str(certificate), "--tlsAllowConnectionsWithoutCertificates", "--oplogSize", "64",
             "--logpath", str(instance.log / "mongod.log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=instance.folder, **account.spawn_arguments(),
        )  # fmt: skip
        found = OwnSet(port=port, authority=certificate)
        try:
            # Whoever comes from this machine may make the first user.
            uri = (
                f"mongodb://{HOST}:{port}/?tls=true&tlsCAFile={quote(str(certificate), safe='')}&directConnection=true"
            )
            with MongoClient(uri, serverSelectionTimeoutMS=20_000) as first:
                first.admin.command(
                    "replSetInitiate", {"_id": "own", "members": [{"_id": 0, "host": f"{HOST}:{port}"}]}
                )
                until(lambda: first.admin.command("hello")["isWritablePrimary"], "the set to have a primary")
                first.admin.command("createUser", "boss", pwd=SECRET, roles=["root"])
            yield found
        finally:
            processes.end([psutil.Process(mongod.pid)])
            mongod.wait()


@pytest.fixture(scope="module")
def own() -> Iterator[OwnSet]:
    """For all tests here."""
    with own_set() as found:
        yield found


@pytest.fixture
def up(own: OwnSet, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Takes a database of the set as a user, and gives the stack with what was said."""

    @contextmanager
    def taken(user: str, database: str) -> Iterator[tuple[ExternalStack, list[str]]]:
        monkeypatch.setenv(VARIABLE, own.uri(user, database))
        said: list[str] = []
        topology = Topology(postgres=None, mongo=MongoReplicaSet(members=3))
        dataset = Dataset(module="fixtures.players", version=1)
        with ExternalStack.up(topology, dataset, scale=SCALE, seed=1, say=said.append) as stack:
            yield stack, said

    return taken


def mark(place: Place, own: OwnSet, user: str, database: str, *arguments: str) -> Any:
    """Run ``flashcrowd mark`` on a database."""
    return place.run("mark", *arguments, **{VARIABLE: own.uri(user, database)})


def documents(own: OwnSet, database: str) -> object:
    """A digest of the dataset, by the server's own reckoning."""
    with own.client() as client:
        return client[database].command("dbHash", collections=[COLLECTION])["md5"]


def test_a_run_to_its_verdict(own: OwnSet, place: Place) -> None:
    user, database = own.make(MONITOR, BEATS)
    marked = mark(place, own, user, database, "--yes")
    assert marked.process.returncode == Exit.FINE, marked.printed
    assert f"A run on database {database} of this replica set will" in marked.printed
    place.environment[VARIABLE] = own.uri(user, database)
    command, folder = run(place, "saves", "--variant", "before")
    verdict = json.loads((folder / "verdict.json").read_text())
    assert (verdict["status"], verdict["reproduced"]) == ("pass", True), command.printed
    assert verdict["variants"]["before"]["why_invalid"] == []
    meta = json.loads((folder / "before" / "run.json").read_text())["stack"]
    assert meta["provider"] == "external"
    assert meta["mongo"]["members"] == [{"name": "mongo-1", "cpus": None, "cores": None}]
    assert any("asks for 3 members; this set has 1" in note for note in meta["mongo"]["notes"])
    assert told_secret(place) == []
    assert place.left() == []


@pytest.mark.parametrize(
    ("roles", "measured", "said"),
    [
        pytest.param((MONITOR, BEATS), {"mongo-1", "mongo-replication"}, (), id="all of them"),
        pytest.param(
            (MONITOR,), {"mongo-1", "mongo-replication"}, ("may not write to database flashcrowd",), id="no heartbeat"
        ),
        pytest.param((), set(), ("mongo-1 is not measured", "mongo-replication is not measured"), id="no monitoring"),
    ],
)
async def test_what_a_users_roles_do_not_allow_is_said(
    own: OwnSet, tmp_path: Path, roles: tuple[dict[str, str], ...], measured: set[str], said: tuple[str, ...]
) -> None:
    user, database = own.make(*roles)
    replica_set = ReplicaSet(
        name="own",
        members=(Member(name="mongo-1", host=HOST, port=own.port, cpus=None),),
        database=database,
        version="6.0.5",
        user=user,
        password=SECRET,
        options=(("tls", "true"), ("tlsCAFile", str(own.authority)), ("authSource", "admin")),
    )
    async with mongo_probes(replica_set, tmp_path, Origin.after(0)) as found:
        assert {probe.name for probe in found.probes} == measured
        for probe in found.probes:
            assert await probe.sample(0.0)
        unread = "the log of mongo-1 cannot be read here"
        assert [note for note in found.notes if unread not in note and not any(part in note for part in said)] == []
        for part in (*said, unread):
            assert any(part in note for note in found.notes)


def test_a_reset_puts_documents_indexes_and_collections_back(own: OwnSet, place: Place, up: Callable[..., Any]) -> None:
    user, database = own.make(MONITOR)
    mark(place, own, user, database, "--yes")
    with up(user, database) as (stack, said), MongoClient(own.uri(user, database)) as client:
        seeded = documents(own, database)
        players = client[database][COLLECTION]
        assert players.count_documents({}) == size(SCALE)
        count = len(said)
        stack.reset()
        assert len(said) == count, "as it was: nothing to do"
        for change in (
            lambda: players.update_one({"_id": 1}, {"$set": {"gold": -1}}),
            lambda: players.drop_indexes(),
            lambda: client[database]["more"].insert_one({}),
        ):
            change()
            stack.reset()
            assert any("seeded" in line for line in said[count:])
            count = len(said)
            assert documents(own, database) == seeded
            assert set(players.index_information()) == {"_id_", "level_1_alliance_1"}
            assert "more" not in client[database].list_collection_names()
    assert mark(place, own, user, database, "--remove").process.returncode == Exit.FINE
    with own.client() as client:
        assert client[database].list_collection_names() == [COLLECTION]


def test_two_runs_on_one_database_are_refused(own: OwnSet, place: Place, up: Callable[..., Any]) -> None:
    user, database = own.make(MONITOR)
    mark(place, own, user, database, "--yes")
    with up(user, database), pytest.raises(StackError, match="in use by another run"), up(user, database):
        pass
    with up(user, database):
        pass


def test_what_a_run_made_is_known_as_ours_and_what_came_later_is_not(
    own: OwnSet, place: Place, up: Callable[..., Any]
) -> None:
    user, database = own.make(MONITOR)
    mark(place, own, user, database, "--yes")
    with own.client() as client:
        with up(user, database):
            client[database]["made"].insert_one({})
        with up(user, database):
            assert "made" not in client[database].list_collection_names()
        client[database]["theirs"].insert_one({})
        with pytest.raises(StackError, match=r"\(theirs\)"), up(user, database):
            pass
        assert client[database]["theirs"].count_documents({}) == 1


def test_what_a_killed_seeding_left_is_known_as_ours(own: OwnSet, place: Place, up: Callable[..., Any]) -> None:
    user, database = own.make(MONITOR)
    mark(place, own, user, database, "--yes")
    with up(user, database):
        seeded = documents(own, database)
    with own.client() as client:
        client[database]["flashcrowd.recipe"].update_one({}, {"$set": {"watched": True}, "$unset": {"key": 1}})
        client[database]["half"].insert_one({})
    with up(user, database):
        assert documents(own, database) == seeded


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        pytest.param(None, "is not marked", id="no marker"),
        pytest.param({"database": "another", "replica_set": "own"}, "marker of database 'another'", id="a copy"),
        pytest.param({"replica_set": "another"}, "of replica set 'another'", id="another set"),
    ],
)
def test_what_is_not_marked_is_left_alone(
    own: OwnSet, up: Callable[..., Any], prepare: dict[str, str] | None, said: str
) -> None:
    user, database = own.make(MONITOR)
    if prepare is not None:
        with own.client() as client:
            marker = {"_id": "marker", "database": database, "replica_set": "own", **prepare}
            client[database]["flashcrowd.may_be_destroyed"].insert_one(marker)
    with pytest.raises(StackError, match=said), up(user, database):
        pass


def test_somebodys_collection_is_left_alone(own: OwnSet, place: Place, up: Callable[..., Any]) -> None:
    user, database = own.make(MONITOR)
    mark(place, own, user, database, "--yes")
    with own.client() as client:
        client[database]["orders"].insert_one({"_id": 1})
    with pytest.raises(StackError, match=r"1 collection that neither .* \(orders\)"), up(user, database):
        pass
    refused = mark(place, own, user, database, "--yes")
    assert refused.process.returncode == Exit.STACK and "(orders)" in refused.printed
    with own.client() as client:
        assert client[database]["orders"].count_documents({}) == 1


def test_a_missing_role_is_named(own: OwnSet, place: Place, up: Callable[..., Any]) -> None:
    user, database = own.make()
    mark(place, own, user, database, "--yes")
    with pytest.raises(StackError) as refused, up(user, database):
        pass
    assert f"grantRolesToUser('{user}', [{{role: 'clusterMonitor', db: 'admin'}}])" in str(refused.value)
    with own.client() as client:
        client.admin.command("grantRolesToUser", user, roles=[MONITOR])
    with up(user, database):
        pass
    other, _ = own.make(MONITOR)
    command = mark(place, own, other, database, "--yes")
    assert command.process.returncode == Exit.STACK
    assert f"role: 'readWrite', db: '{database}'" in command.printed


def test_a_wrong_password_is_not_repeated(own: OwnSet, place: Place) -> None:
    user, database = own.make(MONITOR)
    uri = own.uri(user, database).replace("Rumpel", "Pumpel")
    with pytest.raises((OperationFailure, PyMongoError)), MongoClient(uri, directConnection=True) as client:
        client.admin.command("replSetGetStatus")
    command = place.run("mark", "--yes", **{VARIABLE: uri})
    assert command.process.returncode == Exit.STACK
    assert "Authentication failed" in command.printed
    assert "Pumpel" not in command.printed and "stilz" not in command.printed
