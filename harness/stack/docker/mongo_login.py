"""Who gets into the MongoDB of one stack: its members know each other, and us, by a key; everybody else needs a password.

With a key a mongod refuses who does not log in. Whoever has the key may log in as the members do, on any of them and before
there is a user. That is how the stack itself connects; users are made once the members are a set, as the seeded files have none.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo import WriteConcern
from pymongo.errors import PyMongoError

from harness.errors import StackError
from harness.stack.mongo import replica_set

USER = "root"
ROLE = "root"
#: Where users are kept, and what a connection string names as ``authSource``.
USERS = "admin"
#: What holds the key in a container's environment until its entrypoint has put it into a file.
KEY_VARIABLE = "FLASHCROWD_MEMBERS_KEY"
REACH_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The key and the password of one stack's set; no other stack has the same.

    :param key: of characters that a key file may have
    """

    key: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def of_members(self) -> Mapping[str, Any]:
        """Arguments of PyMongo's client, to log in as a member does."""
        return {
            "username": "__system",
            "password": self.key,
            "authSource": "local",
            "authMechanism": "SCRAM-SHA-256",
        }

    def environment(self) -> Mapping[str, str]:
        """For the container of a member."""
        return {KEY_VARIABLE: self.key}

    def make_user(self, primary: str, members: int) -> None:
        """Have the user on every member.

        :param primary: its ``host:port``
        :raises StackError: the set does not make it
        """
        everywhere = WriteConcern(w=members, wtimeout=int(REACH_S * 1000))
        try:
            with replica_set.direct(primary, **self.of_members()) as client:
                client[USERS].command(
                    "createUser", USER, pwd=self.password, roles=[ROLE], writeConcern=everywhere.document
                )
        except PyMongoError as error:
            raise StackError(f"the replica set did not take its user: {error}") from error
