"""Members' states, and how far each secondary is behind the primary.

By wall time: each member is asked for the wall time of the last operation it applied, and the primary's minus the secondary's
is the lag. One member's view of the others is up to a heartbeat old, so it serves only for a member that does not answer: that
one stays where the primary last heard of it, and its lag grows.

By a heartbeat: :mod:`harness.probes.mongo.heart`. It is not measured of a member that does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.model import Labels, Sample
from harness.probes.mongo.asking import Asking
from harness.probes.mongo.connection import MemberConnection
from harness.probes.mongo.heart import DATABASE, Heart
from harness.probes.probe import Unmeasured

PRIMARY, SECONDARY, ARBITER = 1, 2, 7
#: Where a member has applied nothing yet its wall time is that of the epoch.
_EPOCH = datetime(1971, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one member said to replSetGetStatus."""

    status: Mapping[str, Any]

    @property
    def own(self) -> Mapping[str, Any]:
        """Its entry about itself."""
        return next((entry for entry in self.status["members"] if entry.get("self")), {})

    def applied(self) -> datetime | None:
        """Wall time of the last operation that it applied."""
        found = self.status.get("optimes", {}).get("lastAppliedWallTime")
        return found if isinstance(found, datetime) else None


class ReplicationProbe:
    """States and lag of all members.

    :ivar primary: which member is the primary, as of the last tick; None: none, or nobody answered
    """

    name = "mongo-replication"

    def __init__(self, members: Sequence[MemberConnection]) -> None:
        self.primary: str | None = None
        self._members = {member.name: member for member in members}
        self._asking = Asking(self._members, _status)
        self._heart = Heart(self._members)
        self._addresses: dict[str, str] = {}  # as the replica set calls the members, by name

    async def sample(self, at_s: float) -> list[Sample]:
        """``mongodb_rs_members_state``, ``mongodb_mongod_replset_member_replication_lag``, ``flashcrowd_mongodb_*``.

        :raises Unmeasured: no member answers
        """
        # A member whose tickets are all taken answers questions about itself, but its documents cannot be read.
        found, beats = await asyncio.gather(self._asking.ask(), self._heart.read())
        answers = {name: Answer(status) for name, status in found.items()}
        self.primary = None
        if not answers:
            raise Unmeasured("no member of the replica set answers")
        for name, answer in answers.items():
            self._addresses[name] = str(answer.own.get("name", name))
        primaries = {name: one for name, one in answers.items() if one.status["myState"] == PRIMARY}
        # Cut off from the others, a former primary may not know that it is none any more: the later term is right.
        primary = max(primaries, key=lambda name: primaries[name].status.get("term", 0), default=None)
        self.primary = primary
        values = list(self._states(answers, primary))
        if primary is not None:
            values += self._lags(answers, primary)
            self._heart.beat(primary)
        for name, lag_s in beats.items():
            if name in answers and answers[name].own.get("state") == SECONDARY:
                values.append(("flashcrowd_mongodb_heartbeat_lag_seconds", {"member": name}, lag_s))
        return [Sample(at_s=at_s, metric=metric, value=value, labels=labels) for metric, labels, value in values]

    async def why_no_heartbeat(self) -> str | None:
        """After the first sample: why no heartbeat can be written; None where it can."""
        await self._heart.settled()
        if not self._heart.refused:
            return None
        return f"may not write to database {DATABASE}: lag by heartbeat is not measured; grant readWrite on it"

    async def close(self) -> None:
        """End what is under way and remove the heartbeat, unless the primary does not answer."""
        await self._asking.close()
        await self._heart.close()

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

    def _seen(self, teller: Answer, name: str) -> Mapping[str, Any]:
        """What one member says of another."""
        address = self._addresses.get(name)
        return next((entry for entry in teller.status["members"] if entry.get("name") == address), {})


async def _status(member: MemberConnection) -> Mapping[str, Any]:
    return await member.command({"replSetGetStatus": 1})
