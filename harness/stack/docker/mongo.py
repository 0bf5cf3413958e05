"""The MongoDB replica set of a stack in containers: up, reset, logs, down.

1 seed files in a container of the image, unless the cache has them
2 start the members on copies of them, tell them that they are a set, and give that a user with a password of this stack's own
3 the run; between variants 2 is done again, so that nothing that was done to a member outlives it
4 remove the containers with their disks, on every path
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from harness.dataset import Fixture
from harness.model import MongoReplicaSet
from harness.stack.cores import Held
from harness.stack.docker import mongo_files, mongo_login
from harness.stack.docker.container import Allotment, Place, created
from harness.stack.docker.images import Image
from harness.stack.docker.member import DockerMember, plan_of
from harness.stack.docker.mongo_login import Login
from harness.stack.mongo import replica_set
from harness.stack.mongo.member_set import MemberSet
from harness.stack.mongo.members import ReplicaSet
from harness.stack.mongo.seeding import DATABASE


class DockerMongo(MemberSet[DockerMember]):
    """A running replica set; made by :meth:`up`."""

    def __init__(
        self,
        members: Sequence[DockerMember],
        asked: MongoReplicaSet,
        image: Image,
        login: Login,
        version: str,
        notes: Sequence[str],
    ) -> None:
        where = ReplicaSet(
            name=replica_set.NAME,
            members=tuple(member.member for member in members),
            database=DATABASE,
            version=version,
            user=mongo_login.USER,
            password=login.password,
            options=(("authSource", mongo_login.USERS),),
            notes=tuple(notes),
        )
        super().__init__(members, where, asked, {"image": image.described()})
        self._login = login

    @classmethod
    @contextmanager
    def up(
        cls,
        asked: MongoReplicaSet,
        fixture: Fixture,
        image: Image,
        place: Place,
        *,
        scale: float,
        seed: int,
        held: Sequence[Held],
        say: Callable[[str], None],
    ) -> Iterator[Self]:
        """Start a replica set with a seeded dataset; removed on every path.

        :param held: what each member gets
        :raises StackError: it did not come up
        """
        notes = [*dict.fromkeys(note for one in held for note in one.notes), *replica_set.notes()]
        recipe = mongo_files.MongoRecipe(fixture=fixture, scale=scale, seed=seed, image=image)
        # Seeding is no part of what is measured: it gets the cores, and all memory.
        unlimited = Allotment(cpus=held[0].cpus, memory_bytes=None, cores=held[0].cores)
        seeded: Path = place.folder / "seeded"
        mongo_files.put_into(seeded, recipe, place, unlimited, say)
        login = Login()
        with ExitStack() as closing:
            members = []
            for number, one in enumerate(held, 1):
                allotment = Allotment(cpus=one.cpus, memory_bytes=asked.memory_bytes, cores=one.cores)
                plan = plan_of(f"mongo-{number}", asked, image, place, allotment, login, seeded)
                members.append(DockerMember(closing.enter_context(created(place, plan)), allotment, login))
            _start(members, login)
            with replica_set.direct(members[0].host, **login.of_members()) as client:
                version = str(client.server_info()["version"])
            yield cls(members, asked, image, login, version, notes)

    def reset(self) -> None:
        """Put every member back to exactly the seeded state: data, indexes, users, parameters, failpoints, who is primary.

        The members are killed and started on new copies of the files, so sessions end, caches are cold, and a member that
        was stopped, paused or cut off is back. What :meth:`save_logs` saves begins anew.

        :raises StackError: a member does not come up
        """
        _start(self.members, self._login)


def _start(members: Sequence[DockerMember], login: Login) -> None:
    """Start the members on new copies of the seeded files, as one set."""
    with ThreadPoolExecutor(len(members)) as pool:  # each waits for the engine most of the time
        list(pool.map(DockerMember.launch, members))

    def check() -> None:
        for member in members:
            member.check_coming_up()

    replica_set.adopt([member.host for member in members], check, **login.of_members())
    login.make_user(members[0].host, len(members))
    for member in members:
        member.hold()
        member.logs.mark()
