"""Seeding a MongoDB: the same for every provider that has a server of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo import WriteConcern
from pymongo.errors import PyMongoError

from harness.dataset import Fixture
from harness.errors import StackError
from harness.stack.mongo import replica_set
from harness.stack.mongo.options import OPLOG_MB

#: To be raised whenever this module puts something else into the files.
MADE_WITH = {"recipe": 1, "oplog": OPLOG_MB}
DATABASE = "crowd"
CACHE_BYTES = 512 * 1024**2


def seed_mongod(
    host: str, fixture: Fixture, *, scale: float, seed: int, last_lines: Callable[[], str], **login: Any
) -> None:
    """Seed a mongod that is no set's member yet, so that the oplog does not hold everything a second time.

    :param last_lines: what the server said last, for the error
    :param login: further arguments of PyMongo's client
    :raises StackError: the dataset's seeding failed
    """
    try:
        with replica_set.direct(host, socketTimeoutMS=None, **login) as client:
            # Alone it acknowledges at once: what is built here counts only once it is stopped in order, copied and checksummed.
            database = client.get_database(DATABASE, write_concern=WriteConcern(w=1))
            fixture.seed_mongo(database, scale, seed)
    except PyMongoError as error:
        raise StackError(
            f"seeding {fixture.module} failed: {error}\nthe server's last lines:\n{last_lines()}"
        ) from error
