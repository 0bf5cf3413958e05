"""The offline PostgreSQL image is used like the official one."""

from __future__ import annotations

from collections.abc import Mapping

import docker
import psycopg
import pytest

from harness.stack.docker.images import Image
from tests.integration.docker.conftest import Run
from tests.integration.docker.containers import address, connected, ended, printed, put, users

pytestmark = pytest.mark.docker
PASSWORD = 'it\'s a \\ "secret" $HOME'


def test_its_environment_scripts_and_arguments_do_what_the_official_images_do(
    offline: Mapping[str, Image], run: Run
) -> None:
    use_like_the_official_one(offline["postgres"], run)


def test_those_of_debians_postgres_do_so_too(of_debian: Image, run: Run) -> None:
    use_like_the_official_one(of_debian, run)


def use_like_the_official_one(image: Image, run: Run) -> None:
    """Bring one up with all that people use, use it, stop it and start it again."""
    container = run(
        image.reference,
        "postgres",
        "-c",
        "max_connections=33",
        "-c",
        "shared_preload_libraries=pg_stat_statements",
        environment={"POSTGRES_USER": "keeper", "POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "a shop"},
        begin=False,
    )
    put(
        container,
        "/docker-entrypoint-initdb.d",
        one_sql=("CREATE EXTENSION pg_stat_statements; CREATE TABLE item (id int);", 0o644),
        two_sh=('psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "INSERT INTO item VALUES (1)"', 0o755),
        zzz_txt=("no script", 0o644),
    )
    container.start()
    with connected(container, user="keeper", password=PASSWORD, dbname="a shop") as connection:
        row = connection.execute("SELECT count(*), current_setting('max_connections') FROM item").fetchone()
        assert row == (1, "33")
        assert connection.execute("SELECT count(*) > 0 FROM pg_stat_statements").fetchone() == (True,)
        roles = connection.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin").fetchall()
        assert roles == [("keeper",)], "the superuser is the one that was named"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=address(container), user="keeper", password="another", dbname="a shop")
    assert users(container) == {"999"}
    assert "secret" not in printed(container)
    assert "secret" not in str(container.top(ps_args="-eo uid,pid,args"))

    # a clean end, and what was there is there after the next start, for which no password is needed
    container.stop(timeout=30)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0
    assert "database system is shut down" in printed(container)
    container.start()
    with connected(container, user="keeper", password=PASSWORD, dbname="a shop") as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (1,)


def test_stop_does_not_wait_for_clients(offline: Mapping[str, Image], run: Run) -> None:
    container = run(offline["postgres"].reference, environment={"POSTGRES_PASSWORD": "x"})
    with connected(container, password="x") as connection:
        container.stop(timeout=30)
        container.reload()
        assert container.attrs["State"]["ExitCode"] == 0, "137 would be the engine's kill after the 30 s"
        with pytest.raises(psycopg.OperationalError, match="terminating connection due to administrator command"):
            connection.execute("SELECT 1")


def test_the_ready_cluster_and_a_new_one_are_the_same_to_users(offline: Mapping[str, Image], run: Run) -> None:
    found = []
    for options in ("--encoding=UTF8 --no-locale", "--encoding=UTF8 --no-locale --wal-segsize=1"):
        container = run(
            offline["postgres"].reference,
            environment={"POSTGRES_HOST_AUTH_METHOD": "trust", "POSTGRES_INITDB_ARGS": options, "PGDATA": "/tmp/data"},
            tmpfs={"/tmp": "exec"},
        )
        with connected(container) as connection:
            row = connection.execute(
                "SELECT current_setting('data_directory'), current_setting('server_encoding'), datcollate, datctype,"
                " current_setting('data_checksums'), current_setting('listen_addresses') FROM pg_database"
                " WHERE datname = 'postgres'"
            ).fetchone()
            size = connection.execute("SELECT current_setting('wal_segment_size')").fetchone()
            found.append((row, size))
    (row, size), (new_row, new_size) = found
    assert row == new_row == ("/tmp/data", "UTF8", "C", "C", "on", "*")
    assert (size, new_size) == (("16MB",), ("1MB",))


def test_a_password_from_a_file_and_the_default_locale(offline: Mapping[str, Image], run: Run) -> None:
    container = run(
        offline["postgres"].reference, environment={"POSTGRES_PASSWORD_FILE": "/tmp/pass_word.txt"}, begin=False
    )
    put(container, "/tmp", pass_word_txt=("from a file\n", 0o644))
    container.start()
    with connected(container, password="from a file") as connection:
        assert connection.execute("SELECT inet_client_addr() IS NOT NULL").fetchone() == (True,)


@pytest.mark.parametrize(
    ("environment", "script", "said"),
    [
        pytest.param({}, None, "set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust", id="no password"),
        pytest.param(
            {"POSTGRES_PASSWORD": "x", "POSTGRES_PASSWORD_FILE": "/etc/hostname"},
            None,
            "are both set",
            id="two passwords",
        ),
        pytest.param({"POSTGRES_PASSWORD": "x"}, "SELECT 1/0;", "division by zero", id="script"),
        pytest.param(
            {"POSTGRES_PASSWORD": "x", "POSTGRES_DB": "template1"},
            None,
            'database "template1" already exists',
            id="database",
        ),
    ],
)
def test_what_is_wrong_ends_the_container_and_is_said(
    offline: Mapping[str, Image], run: Run, environment: dict[str, str], script: str | None, said: str
) -> None:
    container = run(offline["postgres"].reference, environment=environment, begin=False)
    if script is not None:
        put(container, "/docker-entrypoint-initdb.d", one_sql=(script, 0o644))
    container.start()
    status, text = ended(container)
    assert status != 0 and said in text


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(("postgres", "--version"), "postgres (PostgreSQL) 18.", id="version"),
        pytest.param(("pg_basebackup", "--version"), "pg_basebackup (PostgreSQL) 18.", id="another program"),
        pytest.param(
            ("gosu", "postgres", "bash", "-c", "id -un; echo $HOME"), "postgres\n/var/lib/postgresql", id="gosu"
        ),
    ],
)
def test_other_commands_are_passed_through(
    offline: Mapping[str, Image], run: Run, command: tuple[str, ...], said: str
) -> None:
    status, text = ended(run(offline["postgres"].reference, *command))
    assert status == 0 and text.startswith(said)


def test_it_needs_no_root_where_it_is_started_without(offline: Mapping[str, Image], run: Run) -> None:
    container = run(
        offline["postgres"].reference,
        environment={"POSTGRES_PASSWORD": "x", "PGDATA": "/tmp/data"},
        user="999:999",
        tmpfs={"/tmp": "mode=1777"},
    )
    with connected(container, password="x") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_every_module_that_was_taken_along_can_be_loaded(offline: Mapping[str, Image], run: Run) -> None:
    container = run(offline["postgres"].reference, environment={"POSTGRES_PASSWORD": "x"})
    with connected(container, password="x") as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM pg_available_extensions").fetchall()]
        assert {"pgcrypto", "pg_buffercache", "pgstattuple"} & set(names)
        for name in names:
            connection.execute(f'CREATE EXTENSION IF NOT EXISTS "{name}" CASCADE'.encode())


def test_testcontainers_takes_it_for_the_official_one(
    offline: Mapping[str, Image], client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.core.config import testcontainers_config

    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    container = PostgresContainer(
        offline["postgres"].reference, username="me", password="x", dbname="mine", driver=None
    )
    with container as running:
        inside = running.get_wrapped_container()
        with psycopg.connect(host=address(inside), user="me", password="x", dbname="mine") as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("me",)
    assert not client.containers.list(all=True, ignore_removed=True, filters={"id": inside.id})
