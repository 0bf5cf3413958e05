"""The same marker in a MongoDB database: a collection of ours, which names the database and the replica set."""

from __future__ import annotations

from pymongo.errors import OperationFailure

from harness.dataset import Documents
from harness.errors import StackError

#: Our collections begin so.
PREFIX = "flashcrowd."
COLLECTION = f"{PREFIX}may_be_destroyed"
NEVER = ("admin", "config", "local")
_ID = "marker"


def check(database: Documents, replica_set: str, where: str) -> None:
    """Refuse a database that is not marked.

    :raises StackError: no marker, or that of another database
    """
    found = database[COLLECTION].find_one({"_id": _ID})
    if found is None:
        raise StackError(
            f"{where} is not marked: a run loads it, drops what is in it and fills it anew. "
            "If nothing in it is needed any more, mark it first: flashcrowd mark"
        )
    if (found.get("database"), found.get("replica_set")) != (database.name, replica_set):
        raise StackError(
            f"{where} holds the marker of database {found.get('database')!r} of replica set {found.get('replica_set')!r}: it "
            "looks like a copy of it, which nobody has marked. If it may be destroyed: flashcrowd mark"
        )


def write(database: Documents, replica_set: str) -> None:
    """Mark a database; a marker that is there is written anew."""
    marker = {"database": database.name, "replica_set": replica_set}
    try:
        database[COLLECTION].update_one(
            {"_id": _ID}, {"$set": marker, "$currentDate": {"marked_at": True}}, upsert=True
        )
    except OperationFailure as error:
        raise StackError(f"the marker cannot be written: {refusal(error, database.name)}") from error


def remove(database: Documents) -> bool:
    """Remove the marker with all collections of ours; whether there was one."""
    names = [name for name in database.list_collection_names() if name.startswith(PREFIX)]
    for name in names:
        database.drop_collection(name)
    return COLLECTION in names


def refusal(error: OperationFailure, database: str) -> str:
    """What a refusal says, with the role that would give the privilege."""
    said = str((error.details or {}).get("errmsg") or error)
    return f"{said}; somebody who may: db.grantRolesToUser(USER, [{{role: 'readWrite', db: '{database}'}}])"
