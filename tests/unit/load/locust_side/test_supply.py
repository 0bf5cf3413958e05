"""Sources are made for what the operations use, and for nothing else; where no address says where, that is said."""

import pytest

from harness.errors import DefinitionError
from harness.load.locust_side.mongo import MongoSource, client_options
from harness.load.locust_side.pool import Pool
from harness.load.locust_side.source import Database, Use
from harness.load.locust_side.supply import WorkerSupply
from harness.load.plan import DSN_VARIABLE, MONGO_VARIABLE, READERS_VARIABLE
from harness.model import Application, MongoClientOptions, ReadPreference

CRAFT = {"craft": Use(database=Database.POSTGRES)}
VIEW = {"view": Use(database=Database.POSTGRES, reads=True)}
SAVE = {"save": Use(database=Database.MONGO)}


@pytest.fixture(autouse=True)
def _addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DSN_VARIABLE, "postgresql://x@localhost/y")
    monkeypatch.setenv(READERS_VARIABLE, "postgresql://x@localhost:1/y")
    monkeypatch.setenv(MONGO_VARIABLE, "mongodb://localhost/y")


@pytest.mark.parametrize(
    ("uses", "variable"), [(CRAFT, DSN_VARIABLE), (VIEW, DSN_VARIABLE), (SAVE, MONGO_VARIABLE)], ids=str
)
def test_only_the_addresses_that_are_needed(
    uses: dict[str, Use], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in {DSN_VARIABLE, MONGO_VARIABLE} - {variable}:
        monkeypatch.delenv(other)
    assert len(WorkerSupply(Application(), uses, 0, 1).shared(list(uses))) == 1
    monkeypatch.delenv(variable)
    with pytest.raises(DefinitionError) as refused:
        WorkerSupply(Application(), uses, 0, 1)
    assert refused.value.field == variable


def test_operations_on_the_same_servers_share_a_source() -> None:
    uses = CRAFT | VIEW | SAVE | {"burn": CRAFT["craft"], "load": SAVE["save"]}
    craft, view, save, burn, load = WorkerSupply(Application(reader_pool_size=2), uses, 0, 1).shared(list(uses))
    assert craft is burn and save is load
    assert len({id(source) for source in (craft, view, save)}) == 3
    assert isinstance(craft, Pool) and isinstance(view, Pool) and isinstance(save, MongoSource)


def test_an_application_that_knows_no_replicas_reads_where_it_writes() -> None:
    craft, view = WorkerSupply(Application(), CRAFT | VIEW, 0, 1).shared(["craft", "view"])
    assert craft is view


def test_each_user_has_sources_of_their_own() -> None:
    supply = WorkerSupply(Application(), CRAFT | SAVE, 0, 1)
    first, second = supply.of_one_user(["craft", "save"]), supply.of_one_user(["craft", "save"])
    assert not {id(source) for source in first} & {id(source) for source in second}


def test_what_is_declared_is_what_the_driver_is_told() -> None:
    assert client_options(Application(), 3) == {
        "appName": "flashcrowd-load",
        "maxPoolSize": 3,
        "readPreference": "primary",
        "retryWrites": True,
        "retryReads": True,
    }
    declared = MongoClientOptions(
        read_preference=ReadPreference.NEAREST,
        max_staleness_s=90,
        read_concern="majority",
        write_concern=2,
        journal=True,
        wtimeout_s=0.25,
        server_selection_timeout_s=1.5,
        connect_timeout_s=2.0,
        socket_timeout_s=3.0,
        max_connecting=4,
        retry_writes=False,
    )
    told = client_options(Application(pool_wait_limit_s=0.5, mongo=declared), 3)
    assert told | {"appName": None, "maxPoolSize": None} == {
        "appName": None,
        "maxPoolSize": None,
        "maxConnecting": 4,
        "readPreference": "nearest",
        "maxStalenessSeconds": 90,
        "readConcernLevel": "majority",
        "w": 2,
        "journal": True,
        "wTimeoutMS": 250,
        "waitQueueTimeoutMS": 500,
        "serverSelectionTimeoutMS": 1500,
        "connectTimeoutMS": 2000,
        "socketTimeoutMS": 3000,
        "retryWrites": False,
        "retryReads": True,
    }


@pytest.mark.parametrize(
    "uri",
    ["mongodb://me:secret@localhost/", "postgresql://me:secret@localhost/y", "mongodb://me:secret/more@localhost/y"],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_told(uri: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        MongoSource(uri, Application(), 1)
    assert refused.value.field == MONGO_VARIABLE
    assert "secret" not in str(refused.value)
