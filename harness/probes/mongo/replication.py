"""Members' states, and how far each secondary is behind the primary.

By wall time: each member is asked for the wall time of the last operation it applied, and the primary's minus the secondary's
is the lag. One member's view of the others is up to a heartbeat old, so it serves only for a member that does not answer: that
one stays where the primary last heard of it, and its lag grows.

By a heartbeat: each second a document of ours is written to the primary, and each member is read. A member that has the newest
of those that were written before it was asked has no lag; one that has not lags since the first that it lacks was written. It
needs no clock but ours, and is not measured of a member that does not answer.

All members are asked at once. One that did not answer the last time is asked again, but not waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, time_ns
from typing import Any

from pymongo import ReadPreference
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from harness.model import Labels, Sample
from harness.probes.mongo.connection import ANSWER_LIMIT_S, MemberConnection
from harness.probes.probe import Unmeasured

DATABASE, COLLECTION, KEY = "flashcrowd", "heartbeat", "probe"
BEAT_EVERY_S = 0.95
#: A member that is asked after others are done with has this long to answer.
WAIT_S = 0.6
REMEMBERED = 3600
PRIMARY, SECONDARY, ARBITER = 1, 2, 7
#: Where a member has applied nothing yet its wall time is that of the epoch.
_EPOCH = datetime(1971, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one member said.

    :param status: the answer to replSetGetStatus
    :param beat: number of the newest heartbeat that it has; None: it has none
    """

    status: Mapping[str, Any]
    beat: int | None

    @property
    def own(self) -> Mapping[str, Any]:
        """Its entry about itself."""
        return next((entry for entry in self.status["members"] if entry.get("self")), {})

    def applied(self) -> datetime | None:
        """Wall time of the last operation that it applied."""
        found = self.status.get("optimes", {}).get("lastAppliedWallTime")
        return found if isinstance(found, datetime) else None


class ReplicationProbe:
    """States and lag of all members."""

    name = "mongo-replication"

    def __init__(self, members: Sequence[MemberConnection]) -> None:
        self._members = {member.name: member for member in members}
        self._asking: dict[str, asyncio.Task[Answer]] = {}
        self._silent: set[str] = set()
        self._addresses: dict[str, str] = {}  # as the replica set calls the members, by name
        self._beats: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)  # number and time of those that were written
        self._beating: asyncio.Task[None] | None = None
        self._beat_s = float("-inf")
        self._primary: MemberConnection | None = None

    async def sample(self, at_s: float) -> list[Sample]:
        """``mongodb_rs_members_state``, ``mongodb_mongod_replset_member_replication_lag``, ``flashcrowd_mongodb_*``.

        :raises Unmeasured: no member answers
        """
        written, asked_s = tuple(self._beats), monotonic()
        answers = await self._ask()
        if not answers:
            raise Unmeasured("no member of the replica set answers")
        primaries = {name: one for name, one in answers.items() if one.status["myState"] == PRIMARY}
        # Cut off from the others, a former primary may not know that it is none any more: the later term is right.
        primary = max(primaries, key=lambda name: primaries[name].status.get("term", 0), default=None)
        self._beat(primary)
        values = [*self._states(answers, primary), *self._beat_lags(answers, primary, written, asked_s)]
        if primary is not None:
            values += self._lags(answers, primary)
        return [Sample(at_s=at_s, metric=metric, value=value, labels=labels) for metric, labels, value in values]

    async def close(self) -> None:
        """End what is under way and remove the heartbeat, unless the primary does not answer."""
        under_way = [*self._asking.values(), *([self._beating] if self._beating else [])]
        self._asking, self._beating = {}, None
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        if self._primary is not None and self._beats:
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    await self._primary.collection(DATABASE, COLLECTION).drop()

    async def _ask(self) -> dict[str, Answer]:
        """Who answers, and what."""
        for name, member in self._members.items():
            if name not in self._asking:
                self._asking[name] = asyncio.create_task(_ask(member), name=f"replication of {name}")
        awaited = [task for name, task in self._asking.items() if name not in self._silent]
        # Where nobody answered the last time there is nothing to hold up.
        await asyncio.wait(awaited or self._asking.values(), timeout=WAIT_S)
        answers = {}
        for name, task in list(self._asking.items()):
            if not task.done():
                self._silent.add(name)
                continue
            del self._asking[name]
            try:
                answers[name] = task.result()
            except (PyMongoError, OSError):
                self._silent.add(name)
                continue
            self._addresses[name] = str(answers[name].own.get("name", name))
            if name in self._silent and awaited:
                self._silent.discard(name)
                del answers[name]  # it may be as old as the last tick
        return answers

    def _states(self, answers: Mapping[str, Answer], primary: str | None) -> Iterator[tuple[str, Labels, float]]:
        states: dict[str, int] = {}
        teller = answers[primary] if primary is not None else next(iter(answers.values()))
        for name in self._members:
            state = answers[name].status["myState"] if name in answers else self._seen(teller, name).get("state")
            if state is not None:
                states[name] = int(state)
                labels = {"member": name, "member_idx": self._addresses.get(name, name)}
                yield "mongodb_rs_members_state", labels, float(state)
        serving = (PRIMARY, SECONDARY, ARBITER)
        yield "flashcrowd_mongodb_members_down", {}, float(sum(state not in serving for state in states.values()))
        yield "flashcrowd_mongodb_primaries", {}, float(sum(state == PRIMARY for state in states.values()))

    def _lags(self, answers: Mapping[str, Answer], primary: str) -> Iterator[tuple[str, Labels, float]]:
        newest = answers[primary].applied()
        for name in self._members:
            if name == primary:
                continue
            seen = answers[name].own if name in answers else self._seen(answers[primary], name)
            own = answers[name].applied() if name in answers else seen.get("lastAppliedWallTime")
            if newest is None or own is None or own < _EPOCH or seen.get("state") == ARBITER:
                continue
            lag_s = max(0.0, (newest - own).total_seconds())
            yield "mongodb_mongod_replset_member_replication_lag", {"member": name}, lag_s

    def _beat_lags(
        self, answers: Mapping[str, Answer], primary: str | None, written: Sequence[tuple[int, float]], asked_s: float
    ) -> Iterator[tuple[str, Labels, float]]:
        if not written:
            return
        for name, answer in answers.items():
            if name == primary or answer.own.get("state") != SECONDARY:
                continue
            have = answer.beat if answer.beat is not None else -1
            lacking = next((at for number, at in written if number > have), None)
            lag_s = 0.0 if lacking is None else asked_s - lacking
            yield "flashcrowd_mongodb_heartbeat_lag_seconds", {"member": name}, lag_s

    def _seen(self, teller: Answer, name: str) -> Mapping[str, Any]:
        """What one member says of another."""
        address = self._addresses.get(name)
        return next((entry for entry in teller.status["members"] if entry.get("name") == address), {})

    def _beat(self, primary: str | None) -> None:
        """Have the next heartbeat written, unless it is too early or the last is still under way."""
        self._primary = self._members[primary] if primary is not None else self._primary
        under_way = self._beating is not None and not self._beating.done()
        if primary is None or under_way or monotonic() - self._beat_s < BEAT_EVERY_S:
            return
        self._beat_s = monotonic()
        self._beating = asyncio.create_task(self._write_beat(self._members[primary]), name="heartbeat")

    async def _write_beat(self, primary: MemberConnection) -> None:
        # Larger than any that an earlier run may have left behind.
        number = self._beats[-1][0] + 1 if self._beats else time_ns() // 1_000_000
        beats = primary.collection(DATABASE, COLLECTION).with_options(write_concern=WriteConcern(w=1))
        with suppress(PyMongoError):  # its primary may have stepped down: the next goes to whoever is it then
            await beats.update_one({"_id": KEY}, {"$set": {"number": number, "at": datetime.now(UTC)}}, upsert=True)
            self._beats.append((number, monotonic()))


async def _ask(member: MemberConnection) -> Answer:
    beats = member.collection(DATABASE, COLLECTION).with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
    beat = await beats.find_one({"_id": KEY})
    status = await member.command({"replSetGetStatus": 1})
    return Answer(status=status, beat=None if beat is None else int(beat["number"]))
