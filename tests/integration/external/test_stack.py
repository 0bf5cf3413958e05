"""The provider by itself: whom it refuses, what it seeds, how exactly it puts the data back, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from harness.errors import StackError
from harness.model import Dataset, PostgresServer, Topology
from harness.stack.external import marker, objects, seeding
from harness.stack.external.copies import Copies, beside
from harness.stack.external.session import session
from harness.stack.external.stack import ExternalStack
from tests.integration.external.conftest import OwnServer

pytestmark = pytest.mark.server

SCALE = 0.01
DIGEST = """
SELECT md5(string_agg(row, ',' ORDER BY row)) FROM (
    SELECT items::text AS row FROM items UNION ALL SELECT collections::text FROM collections
    UNION ALL SELECT editions::text FROM editions UNION ALL SELECT crafts::text FROM crafts
) AS every
"""
Up = Callable[..., Iterator[tuple[ExternalStack, list[str]]]]


@pytest.fixture
def up(own: OwnServer, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Takes a database of the server as a role, and gives the stack with what was said."""

    @contextmanager
    def taken(user: str, database: str, seed: int = 1) -> Iterator[tuple[ExternalStack, list[str]]]:
        monkeypatch.setenv("FLASHCROWD_EXTERNAL_POSTGRES", own.dsn(user, database))
        said: list[str] = []
        topology = Topology(postgres=PostgresServer())
        with ExternalStack.up(topology, dataset, scale=SCALE, seed=seed, say=said.append) as stack:
            yield stack, said

    return taken


def marked(own: OwnServer, attributes: str = "", *, owned: bool = True) -> tuple[str, str]:
    """A role and a marked database."""
    user = own.make_role(attributes)
    database = own.make_database(user if owned else "postgres")
    with own.admin(database) as admin:
        if not owned:
            admin.execute(f"GRANT CREATE, TEMPORARY ON DATABASE {database} TO {user}".encode())
            admin.execute(f"GRANT CREATE ON SCHEMA public TO {user}".encode())
    with psycopg.connect(own.dsn(user, database), autocommit=True) as connection:
        marker.write(connection)
    return user, database


def digest(own: OwnServer, database: str) -> object:
    """A figure of all rows, by the server's own session."""
    with own.admin(database) as admin:
        return admin.execute(DIGEST.encode()).fetchone()


@pytest.mark.parametrize(
    ("attributes", "owned", "copied"),
    [
        pytest.param("CREATEDB", True, True, id="from a copy"),
        pytest.param("", True, False, id="seeded anew"),
        pytest.param("CREATEDB", False, False, id="seeded anew in a database of another role's"),
    ],
)
def test_a_reset_puts_everything_back(own: OwnServer, up: Up, attributes: str, owned: bool, copied: bool) -> None:
    user, database = marked(own, attributes, owned=owned)
    with up(user, database) as (stack, said):  # type: ignore[attr-defined]
        stack.reset()
        seeded = digest(own, database)
        with psycopg.connect(own.dsn(user, database), autocommit=True) as client:
            client.execute("UPDATE items SET burned_by = 7 WHERE item_id < 100")
            client.execute("DELETE FROM editions WHERE edition_id < 50")
            client.execute("DROP INDEX items_of_collector")
            client.execute("CREATE TABLE made_by_a_run (x int); CREATE SCHEMA more; CREATE TABLE more.things (x int)")
            client.execute(
                "CREATE TYPE mood AS ENUM ('fine'); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
            )
            # a session in the middle of something is no obstacle
            client.execute("BEGIN")
            client.execute("LOCK TABLE items")
            stack.reset()
            with pytest.raises(psycopg.OperationalError):
                client.execute("SELECT 1")
        assert digest(own, database) == seeded
        with own.admin(database) as admin:
            left = admin.execute(
                "SELECT to_regclass('made_by_a_run'), to_regnamespace('more'), to_regtype('mood'), to_regproc('f'),"
                " to_regclass('items_of_collector') IS NULL"
            ).fetchone()
        assert left == (None, None, None, None, False)
        assert any(line.startswith("seeded") for line in said)
        assert any("seeded anew before each variant" in line for line in said) is not copied
    assert own.databases(database) == ({database, beside(database, "seed")} if copied else {database})


def test_what_was_there_beside_tables_is_left(own: OwnServer, up: Up) -> None:
    user, database = marked(own)
    with own.admin(database) as admin:
        admin.execute("CREATE FUNCTION of_the_owner() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    with up(user, database) as (stack, _):  # type: ignore[attr-defined]
        with psycopg.connect(own.dsn(user, database), autocommit=True) as client:
            client.execute("UPDATE items SET burned_by = 7 WHERE item_id = 1")
        stack.reset()
    with own.admin(database) as admin:
        assert admin.execute("SELECT of_the_owner()").fetchone() == (1,)


#: Something of every kind that a load or a timeline may make.
MADE = """
CREATE TABLE made (x serial PRIMARY KEY, y text);
CREATE INDEX ON made (y);
CREATE INDEX made_on_items ON items (burned_by, item_id);
CREATE SEQUENCE made_sequence;
CREATE VIEW made_view AS SELECT * FROM items;
CREATE MATERIALIZED VIEW made_copy AS SELECT 1 AS one;
CREATE SCHEMA made_schema;
CREATE TABLE made_schema.things (x int);
CREATE TYPE made_mood AS ENUM ('fine');
CREATE DOMAIN made_domain AS int;
CREATE TYPE made_pair AS (a int, b made_domain);
CREATE FUNCTION made_function(made_mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE made_procedure() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE made_sum(int) (sfunc = int4pl, stype = int);
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);
CREATE COLLATION made_collation FROM "C";
CREATE CAST (made_mood AS int) WITH FUNCTION made_function(made_mood);
CREATE PUBLICATION made_publication FOR TABLE items;
"""


@contextmanager
def client_of(own: OwnServer, user: str, database: str) -> Iterator[psycopg.Connection]:
    """The load's session."""
    with closing(psycopg.connect(own.dsn(user, database), autocommit=True)) as client:
        yield client


def kept(own: OwnServer, database: str) -> set[str]:
    """Everything in the database that is not the dataset's or flashcrowd's, by the server's own session."""
    with own.admin(database) as admin:
        return {one.identity for one in objects.held(admin) - seeding.recorded(admin)}


def count_of(own: OwnServer, database: str, table: str) -> object:
    """Rows of somebody's table, by the server's own session."""
    with own.admin(database) as admin:
        return admin.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()


WAYS = pytest.mark.parametrize(
    "attributes", [pytest.param("CREATEDB", id="copied"), pytest.param("", id="seeded anew")]
)


@WAYS
def test_what_a_run_made_is_gone_in_its_next_variant_and_in_the_next_run(
    own: OwnServer, up: Up, attributes: str
) -> None:
    user, database = marked(own, attributes)
    with own.admin(database) as admin:
        admin.execute("CREATE FUNCTION of_the_owner() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    with up(user, database) as (stack, _):  # type: ignore[attr-defined]
        stack.reset()
        seeded, others = digest(own, database), kept(own, database)
        assert "public.of_the_owner()" in others
        for _ in ("before", "after"):
            assert kept(own, database) == others
            with client_of(own, user, database) as client:
                client.execute(MADE.encode())
            stack.reset()
        assert (kept(own, database), digest(own, database)) == (others, seeded)
        with client_of(own, user, database) as client:
            client.execute(MADE.encode())
    assert "public.of_the_owner()" in kept(own, database)
    with up(user, database) as (stack, said):  # type: ignore[attr-defined]
        stack.reset()
        assert (kept(own, database), digest(own, database)) == (others, seeded)
        assert not any("killed" in line for line in said)
        # the same may be made again, even where another dataset is seeded
        with client_of(own, user, database) as client:
            client.execute(MADE.encode())
    with up(user, database, seed=2) as (stack, _):  # type: ignore[attr-defined]
        assert kept(own, database) == others
        stack.reset()
        assert kept(own, database) == others


@WAYS
def test_what_came_after_a_run_is_somebodys(own: OwnServer, up: Up, attributes: str) -> None:
    user, database = marked(own, attributes)
    with up(user, database), client_of(own, user, database) as client:  # type: ignore[attr-defined]
        client.execute("CREATE TABLE made (x int)")
    with client_of(own, user, database) as client:
        client.execute("CREATE TABLE theirs (x int); INSERT INTO theirs VALUES (1)")
    with (
        pytest.raises(StackError, match=r"holds 1 table that .*\(public\.theirs\).*drop them yourself"),
        up(user, database),
    ):  # type: ignore[attr-defined]
        pass
    assert count_of(own, database, "theirs") == (1,)
    with client_of(own, user, database) as client:
        client.execute("DROP TABLE theirs")
        client.execute("CREATE FUNCTION theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    # what holds nothing is kept, even if the copy beside the database was made without it
    with up(user, database) as (stack, _):  # type: ignore[attr-defined]
        stack.reset()
        with own.admin(database) as admin:
            assert admin.execute("SELECT theirs(), to_regclass('made')").fetchone() == (1, None)


@WAYS
def test_what_a_killed_run_made_is_its_own(own: OwnServer, up: Up, attributes: str) -> None:
    user, database = marked(own, attributes)
    with up(user, database) as (stack, _):  # type: ignore[attr-defined]
        stack.reset()
        seeded, others = digest(own, database), kept(own, database)
        with own.admin(database) as admin, client_of(own, user, database) as client:
            client.execute("CREATE TABLE made (x int)")
            found = admin.execute("SELECT * FROM flashcrowd.found").fetchall()
    # as it was while the run was under way
    with client_of(own, user, database) as client:
        client.execute("CREATE TABLE flashcrowd.found (kind text, identity text, holds boolean)")
        client.cursor().executemany("INSERT INTO flashcrowd.found VALUES (%s, %s, %s)", found)
        client.execute("DELETE FROM flashcrowd.seeded WHERE identity = 'public.made'")
    with up(user, database) as (stack, said):  # type: ignore[attr-defined]
        assert any("was killed" in line and line.endswith(": public.made") for line in said)
        stack.reset()
        assert (kept(own, database), digest(own, database)) == (others, seeded)
    with up(user, database) as (_, said):  # type: ignore[attr-defined]
        assert not any("was killed" in line for line in said)


def test_seeded_data_is_found_again_and_other_data_is_not_taken_for_it(own: OwnServer, up: Up) -> None:
    user, database = marked(own, "CREATEDB")
    with up(user, database) as (stack, said):  # type: ignore[attr-defined]
        stack.reset()
        first = digest(own, database)
        assert any(line.startswith("seeding") for line in said)
    with up(user, database) as (stack, said):  # type: ignore[attr-defined]
        stack.reset()
        assert not any(line.startswith("seeding") for line in said)
        assert digest(own, database) == first
    with up(user, database, seed=2) as (stack, said):  # type: ignore[attr-defined]
        stack.reset()
        assert any(line.startswith("seeding") for line in said)
        assert digest(own, database) != first


def test_untouched_data_is_not_seeded_twice(own: OwnServer, up: Up) -> None:
    user, database = marked(own)
    with own.admin(database) as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")  # trying to and failing is a transaction that writes
    with up(user, database) as (stack, said):  # type: ignore[attr-defined]
        stack.reset()
        assert sum(line.startswith("seeding") for line in said) == 1
        with psycopg.connect(own.dsn(user, database), autocommit=True) as client:
            client.execute("UPDATE collections SET burned = 1 WHERE collection_id = 1")
        stack.reset()
        assert sum(line.startswith("seeding") for line in said) == 2
    with up(user, database) as (stack, said):  # type: ignore[attr-defined]
        stack.reset()
        assert not any(line.startswith("seeding") for line in said), "by the next run neither"


def test_a_database_with_something_to_lose_is_not_replaced_by_a_copy(own: OwnServer, up: Up) -> None:
    user, database = marked(own, "CREATEDB")
    with own.admin() as admin:
        admin.execute(f"GRANT CONNECT ON DATABASE {database} TO {own.make_role()}".encode())
        before = admin.execute("SELECT datacl::text, oid FROM pg_database WHERE datname = %s", [database]).fetchone()
    with up(user, database) as (stack, said):  # type: ignore[attr-defined]
        stack.reset()
        assert any("it has grants of its own" in line for line in said)
    with own.admin() as admin:
        assert (
            admin.execute("SELECT datacl::text, oid FROM pg_database WHERE datname = %s", [database]).fetchone()
            == before
        )


def test_what_a_killed_reset_left_is_swept(own: OwnServer, up: Up) -> None:
    user, database = marked(own, "CREATEDB")
    with up(user, database) as (stack, _):  # type: ignore[attr-defined]
        with own.admin() as admin:
            for what in ("next", "last"):
                admin.execute(f"CREATE DATABASE {beside(database, what)} OWNER {user}".encode())
        stack.reset()
    assert own.databases(database) == {database, beside(database, "seed")}


def test_two_runs_on_one_database_are_refused(own: OwnServer, up: Up) -> None:
    for attributes in ("CREATEDB", ""):
        user, database = marked(own, attributes)
        with up(user, database), pytest.raises(StackError, match="in use by another run"), up(user, database):  # type: ignore[attr-defined]
            pass
        with up(user, database):  # type: ignore[attr-defined]
            pass


def test_a_marker_of_another_server_does_not_count(own: OwnServer, up: Up) -> None:
    user, database = marked(own)
    with own.admin(database) as admin:
        admin.execute("UPDATE flashcrowd.may_be_destroyed SET cluster = '1'")
    with pytest.raises(StackError, match="written on another server"), up(user, database):  # type: ignore[attr-defined]
        pass


def test_a_marker_that_was_taken_away_ends_it(own: OwnServer, up: Up) -> None:
    user, database = marked(own)
    with up(user, database) as (stack, _):  # type: ignore[attr-defined]
        with own.admin(database) as admin:
            admin.execute("DROP TABLE flashcrowd.may_be_destroyed")
        with pytest.raises(StackError, match="is not marked"):
            stack.reset()
        assert digest(own, database) != (None,)


def test_a_role_that_cannot_seed_is_told_each_grant(own: OwnServer, up: Up) -> None:
    user = own.make_role()
    database = own.make_database()
    with own.admin(database) as admin:
        admin.execute(f"GRANT CREATE ON DATABASE {database} TO {user}".encode())
        admin.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC".encode())
    with psycopg.connect(own.dsn(user, database), autocommit=True) as connection:
        marker.write(connection)
    with pytest.raises(StackError) as refused, up(user, database):  # type: ignore[attr-defined]
        pass
    grants = (f"GRANT CREATE ON SCHEMA public TO {user}", f"GRANT TEMPORARY ON DATABASE {database} TO {user}")
    assert all(grant in str(refused.value) for grant in grants)
    with own.admin(database) as admin:
        for grant in grants:
            admin.execute(grant.encode())
    with up(user, database) as (stack, _):  # type: ignore[attr-defined]
        stack.reset()
    assert digest(own, database) != (None,)


def test_each_missing_privilege_is_a_note_that_goes_with_its_grant(own: OwnServer, up: Up) -> None:
    user, database = marked(own)
    with up(user, database) as (_, said):  # type: ignore[attr-defined]
        told = "\n".join(said)
    assert f"GRANT pg_monitor TO {user}" in told
    assert f"GRANT pg_signal_backend TO {user}" in told
    assert "CREATE EXTENSION pg_stat_statements" in told
    assert "track_io_timing is off" in told
    with own.admin(database) as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
    with up(user, database) as (_, said):  # type: ignore[attr-defined]
        told = "\n".join(said)
    assert "what statements cost is not measured" not in told
    assert f"GRANT EXECUTE ON FUNCTION pg_stat_statements_reset TO {user}" in told
    assert f"GRANT SET ON PARAMETER pg_stat_statements.track TO {user}" in told
    with own.admin(database) as admin:
        admin.execute(f"GRANT pg_monitor, pg_signal_backend TO {user}".encode())
        admin.execute(f"GRANT EXECUTE ON FUNCTION pg_stat_statements_reset TO {user}".encode())
        admin.execute(f"GRANT SET ON PARAMETER pg_stat_statements.track TO {user}".encode())
        admin.execute(f"ALTER DATABASE {database} SET track_io_timing = on".encode())
    with up(user, database) as (stack, said):  # type: ignore[attr-defined]
        told = "\n".join(said)
        assert "GRANT" not in told and "track_io_timing" not in told
        # the privilege is used: the statistics begin anew
        with psycopg.connect(own.dsn(user, database), autocommit=True) as client:
            client.execute("SELECT 4711")
            stack.reset()
        with own.admin(database) as admin:
            found = admin.execute(
                "SELECT count(*) FROM pg_stat_statements AS s JOIN pg_roles AS r ON r.oid = s.userid WHERE rolname = %s AND query = 'SELECT $1'",
                [user],
            ).fetchone()
        assert found == (0,)


def test_somebodys_session_that_holds_a_lock_is_named(own: OwnServer, up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.stack.external.seeding.LOCK_S", 1)
    user, database = marked(own)
    other = own.make_role("SUPERUSER")
    with up(user, database) as (stack, _):  # type: ignore[attr-defined]
        with psycopg.connect(own.dsn(other, database), autocommit=True) as client:
            client.execute("UPDATE collections SET burned = 1 WHERE collection_id = 1")
            client.execute("BEGIN")
            client.execute("LOCK TABLE items")
            with pytest.raises(StackError, match=f"of role {other}.*GRANT pg_signal_backend"):
                stack.reset()
        # nothing was lost by the attempt
        assert digest(own, database) != (None,)
        stack.reset()


def test_nothing_can_be_done_to_the_servers(own: OwnServer, up: Up) -> None:
    user, database = marked(own)
    with up(user, database) as (stack, _):  # type: ignore[attr-defined]
        (server,) = stack.servers.values()
        assert server.footprint() is None
        for action in ("pause", "resume", "stop", "kill", "start", "cut_off", "rejoin"):
            with pytest.raises(StackError, match="a server of your own"):
                getattr(server, action)()
            assert server.why_not(action) is not None
        with pytest.raises(StackError, match="replica"):
            stack.add_replica()
        endpoint = stack.postgres
        assert endpoint is not None
        assert (endpoint.cpus, endpoint.log_folder, endpoint.postmaster_pid) == (None, None, None)
        assert "stilz" not in repr(endpoint)


def test_removing_the_marker_removes_the_copy(own: OwnServer, up: Up) -> None:
    user, database = marked(own, "CREATEDB")
    with up(user, database) as (stack, _):  # type: ignore[attr-defined]
        endpoint = stack.postgres
    assert endpoint is not None
    assert Copies(endpoint).remove() == [beside(database, "seed")]
    with session(endpoint) as connection:
        assert marker.remove(connection) is True
        assert marker.read(connection) is None
    assert own.databases(database) == {database}
