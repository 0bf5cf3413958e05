"""The MongoDB replica set of an embedded stack: up, reset, logs, down.

1 find the program, and the user to run it as
2 put a copy of the seeded files into a folder of each member, seeding them first where the cache has none
3 start the members and tell them that they are a set
4 the run; between variants 2 and 3 are done again, so that nothing that was done to a member outlives it
5 kill the members and remove their folders, on every path
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from harness.dataset import Fixture
from harness.model import MongoReplicaSet
from harness.stack import cache
from harness.stack.cores import Held
from harness.stack.embedded import account as accounts
from harness.stack.embedded import instance as instances
from harness.stack.embedded import mongo_template
from harness.stack.embedded import mongod_program as programs
from harness.stack.embedded.member import EmbeddedMember, How
from harness.stack.mongo import replica_set
from harness.stack.mongo.member_set import MemberSet
from harness.stack.mongo.members import ReplicaSet
from harness.stack.mongo.options import asked_parameters
from harness.stack.mongo.seeding import DATABASE

SEEDED = "seeded"  # beside the first member's files: what every member is put back to


class EmbeddedMongo(MemberSet[EmbeddedMember]):
    """A running replica set; made by :meth:`up`."""

    def __init__(
        self,
        *,
        members: Sequence[EmbeddedMember],
        seeded: Path,
        asked: MongoReplicaSet,
        version: str,
        notes: Sequence[str],
    ) -> None:
        where = ReplicaSet(
            name=replica_set.NAME,
            members=tuple(one.member for one in members),
            database=DATABASE,
            version=version,
            notes=tuple(notes),
        )
        super().__init__(members, where, asked)
        self._seeded = seeded

    @classmethod
    @contextmanager
    def up(
        cls,
        asked: MongoReplicaSet,
        fixture: Fixture,
        *,
        scale: float,
        seed: int,
        held: Sequence[Held],
        say: Callable[[str], None],
    ) -> Iterator[Self]:
        """Start a replica set with a seeded dataset; torn down on every path.

        :param held: the cores of each member
        :raises StackError: it did not come up
        """
        account = accounts.for_servers()
        program = programs.locate(account, (cache.cache_folder(), instances.base()))
        notes = [*program.notes, *dict.fromkeys(note for one in held for note in one.notes), *replica_set.notes()]
        if account.switched:
            notes.append(f"mongod runs as user {account.name}, as a server of one's own would not run as root either")
        if asked.memory_bytes is not None:
            notes.append(
                f"the memory of a member is not limited to {asked.memory_bytes / 1024**2:,.0f} MiB: that needs containers; "
                f"its cache is limited to {asked.cache_bytes / 1024**2:,.0f} MiB"
            )
        how = How(program=program, account=account, cache_bytes=asked.cache_bytes, parameters=asked_parameters(asked))
        recipe = mongo_template.MongoRecipe(fixture=fixture, scale=scale, seed=seed, program=program, account=account)
        with ExitStack() as closing:
            folders = [closing.enter_context(instances.make(account)) for _ in held]
            seeded = folders[0].folder / SEEDED
            mongo_template.put_into(seeded, recipe, say)
            members = [
                EmbeddedMember(name=f"mongo-{number}", instance=folder, how=how, held=one)
                for number, (folder, one) in enumerate(zip(folders, held, strict=True), 1)
            ]
            for member in members:
                closing.callback(member.end)  # the files are thrown away: an orderly shutdown would be for nobody
            _start(members, seeded, may_move=True)
            yield cls(members=members, seeded=seeded, asked=asked, version=program.version, notes=notes)

    def reset(self) -> None:
        """Put every member back to exactly the seeded state: data, indexes, users, parameters, failpoints, who is primary.

        The members are killed and started on new copies of the files, so sessions end, caches are cold, and a member
        that was stopped or paused runs again. What :meth:`save_logs` saves begins anew.

        :raises StackError: a member does not come up
        """
        _start(self.members, self._seeded, may_move=False)


def _start(members: Sequence[EmbeddedMember], seeded: Path, *, may_move: bool) -> None:
    """Start the members on new copies of the seeded files, as one set.

    :param may_move: whether a member may take another port where somebody got its own
    """

    def begin(member: EmbeddedMember) -> None:
        member.fill(seeded)
        member.launch()

    with ThreadPoolExecutor(max_workers=len(members)) as pool:  # one starts while the files of another are copied
        list(pool.map(begin, members))
    for member in members:
        member.await_answer(may_move=may_move)

    def check() -> None:
        for member in members:
            member.check_coming_up()

    replica_set.adopt([member.host for member in members], check)
    for member in members:
        member.logs.mark()
