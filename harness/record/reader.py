"""A run folder as tables, whether the run ended well or was killed: everything after a run reads through here.

Tables of :attr:`Run.db` (DuckDB; a view each, exact, nothing summarised):

    requests   worker, arrival, attempt, operation, outcome, intended_ns, started_ns, acquired_ns, finished_ns
               and in seconds: intended_s, finished_s, response_s, service_s, pool_wait_s, lag_s
               (service_s and pool_wait_s are NULL where no connection was got)
    samples    at_s, probe, metric, labels (JSON), value
    ticks      at_s, probe, took_s
    events     at_s, kind, text, fields (JSON)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from harness.errors import RunFolderError
from harness.model import Event
from harness.record import format as layout
from harness.record.row import ROW

_VIEW_REQUESTS = """
CREATE VIEW requests AS SELECT *,
    intended_ns / 1e9 AS intended_s,
    finished_ns / 1e9 AS finished_s,
    (finished_ns - intended_ns) / 1e9 AS response_s,
    (finished_ns - acquired_ns) / 1e9 AS service_s,
    (acquired_ns - started_ns) / 1e9 AS pool_wait_s,
    (started_ns - intended_ns) / 1e9 AS lag_s
FROM request_rows
"""

_FLATTEN_SAMPLES = """
SELECT coalesce(CAST(sample -> '$[3]' AS DOUBLE), at_s) AS at_s, probe, sample ->> '$[0]' AS metric, CAST(sample -> '$[1]' AS VARCHAR) AS labels, CAST(sample -> '$[2]' AS DOUBLE) AS value
FROM (SELECT at_s, probe, unnest(samples) AS sample FROM tick_lines)
"""


@dataclass(frozen=True, slots=True)
class Points:
    """A series as it was measured: times and values, both float64 and of the same length."""

    at_s: NDArray[np.float64]
    value: NDArray[np.float64]


class Run:
    """A run folder, read only (but for the Parquet files, which the first reader of an ended run makes).

    :raises RunFolderError: no run there, or of a format that this version does not read
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = read_json(folder / layout.RUN)
        if self.meta.get("format") != layout.VERSION:
            raise RunFolderError(
                f"{folder / layout.RUN}: format {self.meta.get('format')!r} is not {layout.VERSION}; "
                "read it with the version of flashcrowd that wrote it, which the file names"
            )

    @property
    def finished(self) -> dict[str, Any] | None:
        """How the run ended; None if the harness was killed before it could say."""
        path = self.folder / layout.FINISHED
        return read_json(path) if path.exists() else None

    @property
    def has_postgres(self) -> bool:
        """Whether the run had a PostgreSQL; a record that does not say which servers it had is taken for one that had."""
        stack = self.meta.get("stack") or {}
        return stack.get("postgres") is not None or stack.get("mongo") is None

    @cached_property
    def db(self) -> duckdb.DuckDBPyConnection:
        """The run's tables; see the module's docstring."""
        con = duckdb.connect(":memory:", config={"threads": 2})
        try:
            with self._told_of_damage():
                con.execute("SET TimeZone = 'UTC'")
                self._load_requests(con)
                con.execute(_VIEW_REQUESTS)
                self._load_samples(con)
                self._load_events(con)
        except BaseException:
            con.close()
            raise
        return con

    def query(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query over the run's tables.

        :raises RunFolderError: a file that it reads is damaged
        """
        with self._told_of_damage():
            return self.db.execute(sql, parameters or []).fetchall()

    def arrays(self, sql: str, parameters: list[Any] | None = None) -> dict[str, NDArray[Any]]:
        """Columns of a query over the run's tables, as NumPy arrays.

        :raises RunFolderError: a file that it reads is damaged
        """
        with self._told_of_damage():
            return self.db.execute(sql, parameters or []).fetchnumpy()

    def events(self, kind: str | None = None) -> list[Event]:
        """Events in order of time, of one kind or all."""
        rows = self.query("SELECT at_s, kind, text, fields FROM events ORDER BY at_s")
        found = [Event(at_s=row[0], kind=row[1], text=row[2], fields=json.loads(row[3] or "{}")) for row in rows]
        return [event for event in found if kind is None or event.kind == kind]

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The objects of a JSON-lines file, such as ``deadlocks.jsonl``; a torn last line is left out."""
        return list(_lines(self.folder / name))

    def json(self, name: str) -> Any | None:
        """The value of a JSON file in the folder, object or list; None where it was not written."""
        path = self.folder / name
        return _read_value(path) if path.exists() else None

    @contextmanager
    def _told_of_damage(self) -> Iterator[None]:
        """Files that are not what they should be become errors of the folder; a wrong query stays a wrong query."""
        try:
            yield
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException):
            raise
        except duckdb.Error as error:
            what = " ".join(str(error).split())
            raise RunFolderError(f"{self.folder}: cannot be read ({what}); the run folder is damaged") from error

    def _load_requests(self, con: duckdb.DuckDBPyConnection) -> None:
        parquet = self.folder / layout.REQUESTS
        if parquet.exists():
            con.execute(f"CREATE VIEW request_rows AS SELECT * FROM read_parquet({_quoted(parquet)})")
            return
        raw = sorted(self.folder.glob("requests-*.rows"))
        con.execute(
            "CREATE TABLE request_rows (worker UTINYINT, arrival UINTEGER, attempt UTINYINT, operation VARCHAR, outcome VARCHAR,"
            " intended_ns BIGINT, started_ns BIGINT, acquired_ns BIGINT, finished_ns BIGINT)"
        )
        for path in raw:
            _insert_rows(con, path)
        if self.finished is not None and raw:
            _keep(con, "SELECT * FROM request_rows ORDER BY intended_ns", parquet, raw)

    def _load_samples(self, con: duckdb.DuckDBPyConnection) -> None:
        parquet = self.folder / layout.SAMPLES
        if not parquet.exists():
            raw = sorted(self.folder.glob("samples*.jsonl"))
            con.execute("CREATE TABLE tick_lines (at_s DOUBLE, probe VARCHAR, took_s DOUBLE, samples JSON[])")
            for path in raw:
                con.execute(
                    f"INSERT INTO tick_lines SELECT * FROM read_json({_quoted(path)}, format='newline_delimited', ignore_errors=true,"
                    " columns={at_s: 'DOUBLE', probe: 'VARCHAR', took_s: 'DOUBLE', samples: 'JSON[]'}) WHERE probe IS NOT NULL"
                )
            # A tick is kept as a sample of its own, so that one Parquet file holds all.
            con.execute(
                f"CREATE TABLE samples_all AS {_FLATTEN_SAMPLES} UNION ALL"
                " SELECT at_s, probe, 'flashcrowd_probe_duration_seconds', json_object('probe', probe), took_s FROM tick_lines"
            )
            if self.finished is not None and raw:
                _keep(con, "SELECT * FROM samples_all ORDER BY at_s", parquet, raw)
        else:
            con.execute(f"CREATE VIEW samples_all AS SELECT * FROM read_parquet({_quoted(parquet)})")
        con.execute("CREATE VIEW samples AS SELECT * FROM samples_all")
        con.execute(
            "CREATE VIEW ticks AS SELECT at_s, probe, value AS took_s FROM samples_all WHERE metric = 'flashcrowd_probe_duration_seconds'"
        )

    def _load_events(self, con: duckdb.DuckDBPyConnection) -> None:
        con.execute("CREATE TABLE events (at_s DOUBLE, kind VARCHAR, text VARCHAR, fields VARCHAR)")
        for path in sorted(self.folder.glob("events*.jsonl")):
            for event in read_events(path):
                row = [event.at_s, event.kind, event.text, json.dumps(event.fields)]
                con.execute("INSERT INTO events VALUES (?, ?, ?, ?)", row)


def read_rows(path: Path, offset_rows: int = 0) -> NDArray[Any]:
    """Raw request rows of one worker from ``offset_rows`` on; a torn last row is left out. See :data:`ROW`."""
    with path.open("rb") as file:
        file.seek(offset_rows * ROW.itemsize)
        data = file.read()
    return np.frombuffer(data[: len(data) - len(data) % ROW.itemsize], dtype=ROW)


def read_codes(path: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Names of a worker's operation and outcome codes, from its ``requests-<w>.jsonl``."""
    codes: dict[str, dict[int, str]] = {"operation": {}, "outcome": {}}
    for line in _lines(path):
        codes[line["kind"]][line["code"]] = line["name"]
    return codes["operation"], codes["outcome"]


def read_events(path: Path) -> list[Event]:
    """The events of one ``events*.jsonl``, in the order they were written; none where it does not exist."""
    return [
        Event(at_s=line["at_s"], kind=line["kind"], text=line["text"], fields=line.get("fields", {}))
        for line in _lines(path)
    ]


def _keep(con: duckdb.DuckDBPyConnection, rows: str, parquet: Path, raw: Sequence[Path]) -> None:
    """Put rows into a Parquet file, whole or not at all, in place of the raw files that they were read from.

    Where there is no room for it, or no right to write, the raw files stay and serve as well.
    """
    neighbour = parquet.with_name(parquet.name + ".part")
    try:
        con.execute(f"COPY ({rows}) TO {_quoted(neighbour)} (FORMAT parquet, COMPRESSION zstd)")
        neighbour.replace(parquet)
    except (duckdb.IOException, OSError):
        neighbour.unlink(missing_ok=True)
        return
    for path in raw:
        path.unlink(missing_ok=True)


def _insert_rows(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    rows = read_rows(path)
    if not len(rows):
        return
    operations, outcomes = read_codes(path.with_suffix(".jsonl"))
    columns = {name: np.ascontiguousarray(rows[name]) for name in ROW.names or ()}
    operation_names = {"code": _codes(operations), "name": np.array(list(operations.values()), dtype=object)}
    outcome_names = {"code": _codes(outcomes), "name": np.array(list(outcomes.values()), dtype=object)}
    for name, table in (("columns_", columns), ("operation_names", operation_names), ("outcome_names", outcome_names)):
        con.register(name, table)
    worker = int(path.stem.removeprefix("requests-"))
    con.execute(
        f"""INSERT INTO request_rows SELECT {worker}, arrival, attempt,
            coalesce(o.name, 'operation ' || operation), coalesce(u.name, 'outcome ' || outcome),
            intended, started, nullif(acquired, {layout.NOT_REACHED}), finished
        FROM columns_ LEFT JOIN operation_names o ON operation = o.code LEFT JOIN outcome_names u ON outcome = u.code"""
    )
    for name in ("columns_", "operation_names", "outcome_names"):
        con.unregister(name)


def _codes(names: dict[int, str]) -> NDArray[np.uint8]:
    return np.array(list(names), dtype=np.uint8)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                value = json.loads(line)
            except ValueError:
                continue  # the torn line of a killed writer; whatever follows it was written by nobody
            if isinstance(value, dict):
                yield value


def read_json(path: Path) -> dict[str, Any]:
    value = _read_value(path)
    if not isinstance(value, dict):
        raise RunFolderError(f"{path}: holds no object; the run folder is damaged")
    return value


def _read_value(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{path}: no such file; name a run folder, such as reports/<incident>/latest/before"
        ) from error
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error}); the run folder is damaged") from error


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
