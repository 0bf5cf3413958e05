"""A heartbeat: a document of ours, outside the dataset, that is written to the primary each second and read on each member.

A member that has the newest of those that were written before it was asked has no lag; one that has not lags since the first
that it lacks was written. No clock but ours is in it, and it needs no write of the application.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic, time_ns

from pymongo import ReadPreference
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern

from harness.probes.mongo.asking import Asking
from harness.probes.mongo.connection import ANSWER_LIMIT_S, UNAUTHORIZED, MemberConnection

DATABASE, COLLECTION, KEY = "flashcrowd", "heartbeat", "probe"
BEAT_EVERY_S = 0.95
REMEMBERED = 3600


class Heart:
    """Writes the heartbeat and says how far each member is behind it.

    :ivar refused: whether our user may not write it; it is not tried again then
    """

    def __init__(self, members: Mapping[str, MemberConnection]) -> None:
        self.refused = False
        self._members = members
        self._asking = Asking(members, _newest)
        self._written: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)  # number, and when it was acknowledged
        self._beating: asyncio.Task[None] | None = None
        self._begun_s = float("-inf")
        self._primary: MemberConnection | None = None

    async def read(self) -> dict[str, float]:
        """Lag by member, seconds, of those that answer; nobody's before the first heartbeat was written."""
        written, now_s = tuple(self._written), monotonic()
        if not written:
            return {}
        try:
            found = await self._asking.ask()
        except OperationFailure:  # who may not read it may not write it either, as a rule, and was told so
            return {}
        return {
            name: next((now_s - at_s for number, at_s in written if number > newest), 0.0)
            for name, newest in found.items()
        }

    def beat(self, primary: str) -> None:
        """Have the next heartbeat written, unless it is too early or the last is still under way."""
        if self.refused or (self._beating is not None and not self._beating.done()):
            return
        if monotonic() - self._begun_s < BEAT_EVERY_S:
            return
        self._begun_s, self._primary = monotonic(), self._members[primary]
        self._beating = asyncio.create_task(self._write(self._primary), name="heartbeat")

    async def settled(self) -> None:
        """Wait until the heartbeat that is under way was written or was not."""
        if self._beating is not None:
            await asyncio.wait([self._beating])

    async def close(self) -> None:
        """End what is under way and remove the heartbeat, unless the primary does not answer."""
        await self._asking.close()
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        if self._primary is not None:
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    await self._primary.collection(DATABASE, COLLECTION).drop()
            self._primary = None

    async def _write(self, primary: MemberConnection) -> None:
        # Larger than any that an earlier run may have left behind.
        number = self._written[-1][0] + 1 if self._written else time_ns() // 1_000_000
        beats = primary.collection(DATABASE, COLLECTION).with_options(write_concern=WriteConcern(w=1))
        try:
            await beats.update_one({"_id": KEY}, {"$set": {"number": number, "at": datetime.now(UTC)}}, upsert=True)
        except PyMongoError as error:
            # Else it may have stepped down: the next goes to whoever is the primary then.
            self.refused = isinstance(error, OperationFailure) and error.code == UNAUTHORIZED
            return
        self._written.append((number, monotonic()))


async def _newest(member: MemberConnection) -> int:
    """Number of the newest heartbeat that a member has; -1: none."""
    beats = member.collection(DATABASE, COLLECTION).with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
    found = await beats.find_one({"_id": KEY})
    return -1 if found is None else int(found["number"])
