"""``flashcrowd mark``: say of a database that it may be loaded and destroyed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from harness.errors import StackError, UsageError
from harness.stack.external import addresses, dsn, marker, mongo, mongo_marker, mongo_uri, objects, watch
from harness.stack.external.copies import Copies, beside
from harness.stack.external.dsn import PostgresAddress
from harness.stack.external.mongo_uri import MongoAddress
from harness.stack.external.postgres import endpoint_of
from harness.stack.external.session import session


def mark_command(
    remove: Annotated[
        bool, typer.Option("--remove", help="take the marker away again, with the seeded copy beside the database")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask: for pipelines")] = False,
) -> None:
    """Mark the databases that FLASHCROWD_EXTERNAL_POSTGRES and FLASHCROWD_EXTERNAL_MONGO name as ones that runs may load and destroy.

    `run --stack external` works on marked databases only. Nothing is asked of any other database.

    Examples:

        FLASHCROWD_EXTERNAL_POSTGRES=postgresql://USER:PASSWORD@HOST/DATABASE flashcrowd mark

        flashcrowd mark --remove
    """
    named = addresses.read()
    if named.postgres is None and named.mongo is None:
        raise UsageError(
            f"{addresses.POSTGRES_VARIABLE} and {addresses.MONGO_VARIABLE} name no database; set one, or "
            f"{addresses.FILE_VARIABLE}, to postgresql://USER:PASSWORD@HOST:PORT/DATABASE or mongodb://…"
        )
    console = Console(highlight=False)
    if named.postgres is not None:
        address = dsn.parse(named.postgres, addresses.POSTGRES_VARIABLE)
        if remove:
            _remove(address, console)
        else:
            _mark(address, console, yes=yes)
    if named.mongo is not None:
        of_set = mongo_uri.parse(named.mongo, addresses.MONGO_VARIABLE)
        if remove:
            _remove_mongo(of_set, console)
        else:
            _mark_mongo(of_set, console, yes=yes)


def _mark(address: PostgresAddress, console: Console, *, yes: bool) -> None:
    if address.database in marker.NEVER:
        raise UsageError(
            f"{addresses.POSTGRES_VARIABLE} names database {address.database}, which others depend on: make one for this"
        )
    with session(endpoint_of(address, name="postgres")) as connection:
        objects.refuse_foreign(objects.held(connection), watch.ours(connection), address.shown)
        for line in _what_runs_do(address.database):
            console.print(line, markup=False, soft_wrap=True)
        _ask(f"Mark {address.shown}?", yes=yes)
        marker.write(connection)
    console.print(f"marked: {address.shown} may be loaded and destroyed", markup=False, soft_wrap=True)


def _remove(address: PostgresAddress, console: Console) -> None:
    endpoint = endpoint_of(address, name="postgres")
    with session(endpoint) as connection:
        there = marker.read(connection)
        if there is None:
            console.print(f"{address.shown} is not marked", markup=False, soft_wrap=True)
            return
        if there.database == address.database and Copies(endpoint).why_not(connection) is None:
            for name in Copies(endpoint).remove():
                console.print(f"dropped database {name}", markup=False, soft_wrap=True)
        marker.remove(connection)
    console.print(
        f"not marked any more: {address.shown}; the tables of the dataset are left as they are",
        markup=False,
        soft_wrap=True,
    )


def _mark_mongo(address: MongoAddress, console: Console, *, yes: bool) -> None:
    if address.database in mongo_marker.NEVER:
        raise UsageError(f"{addresses.MONGO_VARIABLE} names database {address.database}, which is the server's own")
    found = mongo.look_up(address)
    with mongo.connected(found) as client:
        database = client[found.database]
        mongo.refuse_foreign(database, address.shown)
        for line in _what_runs_do_to_mongo(found.database):
            console.print(line, markup=False, soft_wrap=True)
        _ask(f"Mark {address.shown}?", yes=yes)
        mongo_marker.write(database, found.name)
    console.print(f"marked: {address.shown} may be loaded and destroyed", markup=False, soft_wrap=True)


def _remove_mongo(address: MongoAddress, console: Console) -> None:
    found = mongo.look_up(address)
    with mongo.connected(found) as client:
        there = mongo_marker.remove(client[found.database])
    said = f"not marked any more: {address.shown}; the dataset's collections are left as they are"
    console.print(said if there else f"{address.shown} is not marked", markup=False, soft_wrap=True)


def _what_runs_do_to_mongo(database: str) -> list[str]:
    return [
        f"A run on database {database} of this replica set will",
        "  drop every collection that an earlier run made in it or that came into it meanwhile, and fill it with the incident's "
        "dataset,",
        "  write a heartbeat into a database named flashcrowd, and drop it in the end,",
        "  load the whole set as the incident says: others on it will feel it.",
        f"Runs refuse as soon as {database} holds a collection that they did not make. The marker is a document in the "
        f"collection {mongo_marker.COLLECTION}.",
    ]


def _what_runs_do(database: str) -> list[str]:
    return [
        f"A run on database {database} of this server will",
        "  end every session in it that the role may end,",
        "  drop every object that an earlier run made in it or that came into it meanwhile, and fill it with the incident's "
        "dataset,",
        f"  where the role may create databases: keep a seeded copy named {beside(database, 'seed')}, and put clones of it in "
        f"the place of {database}, again and again,",
        "  create the extension pg_stat_statements in it and reset its statistics, where the role may,",
        "  load the whole server as the incident says, up to its last connection: others on this server will feel it.",
        f"Runs refuse as soon as {database} holds a table that they did not make. The marker is a table, {marker.TABLE}.",
    ]


def _ask(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask at: say --yes if all of this may happen")
    if not typer.confirm(question):
        raise StackError("not marked")
