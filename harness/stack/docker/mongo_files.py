"""Seeded files of a mongod in a container, kept in the cache: a dataset is seeded once for each image.

As for embedded servers they are those of the only member of a set, stopped in order
(:mod:`harness.stack.embedded.mongo_template`).
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StackError
from harness.model import MongoReplicaSet
from harness.stack import cache
from harness.stack.cache import Say, copy_tree
from harness.stack.docker.container import Allotment, Place, created
from harness.stack.docker.images import Image
from harness.stack.docker.member import DATA, IN_SET, PORT, DockerMember, plan_of
from harness.stack.docker.mongo_login import Login
from harness.stack.mongo import replica_set
from harness.stack.mongo import seeding as mongo_seeding
from harness.stack.recipe import MACHINE, Recipe

SEED_PORT = PORT + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoRecipe(Recipe):
    """What a member's seeded files are made of."""

    image: Image

    def made_with(self) -> Mapping[str, object]:
        """Our seeding, the server, the machine."""
        return {**mongo_seeding.MADE_WITH, **MACHINE, "image": self.image.id}


def put_into(target: Path, recipe: MongoRecipe, place: Place, allotment: Allotment, say: Say) -> None:
    """Put a copy of the seeded files at ``target``; seeds them where the cache has none.

    :raises StackError: the cache cannot be written, or seeding failed
    """
    cache.put_into(target, recipe, lambda data: _build(data, recipe, place, allotment, say), say)


def _build(data: Path, recipe: MongoRecipe, place: Place, allotment: Allotment, say: Say) -> None:
    say(f"seeding {recipe.fixture.module} into MongoDB at scale {recipe.scale:g} (kept for later runs)")
    asked = MongoReplicaSet(cache_bytes=mongo_seeding.CACHE_BYTES)
    login = Login()  # forgotten with the container: the files hold neither key nor user
    plan = plan_of("mongo-seed", asked, recipe.image, place, allotment, login, None, port=SEED_PORT)
    with created(place, plan) as container, tempfile.TemporaryDirectory(dir=place.folder) as name:
        member = DockerMember(container, allotment, login, port=SEED_PORT)
        member.start()
        mongo_seeding.seed_mongod(
            member.host,
            recipe.fixture,
            scale=recipe.scale,
            seed=recipe.seed,
            last_lines=container.last_lines,
            **login.of_members(),
        )
        _stop(member)
        (container.log / IN_SET).touch()
        member.start()
        # A member that starts from these files looks for itself at this address first: it is refused there, at once.
        replica_set.initiate(
            [member.host], member.check_coming_up, known_as=[f"127.0.0.1:{SEED_PORT}"], **login.of_members()
        )
        _stop(member)
        archive = Path(name) / "files.tar"
        container.get(f"{DATA}/.", archive)
        files = Path(name) / "files"
        with tarfile.open(archive) as packed:
            packed.extractall(files, filter="data")
        # Room reserved for the journal, which a mongod makes anew: a hundred megabytes each.
        for path in (files / "journal").glob("WiredTigerPreplog.*"):
            path.unlink()
        copy_tree(files, data, with_holes=True)


def _stop(member: DockerMember) -> None:
    member.stop()
    status = member.container.state()["ExitCode"]
    if status != 0:
        raise StackError(
            f"the seeded mongod ended with exit status {status}; its last lines:\n{member.container.last_lines()}"
        )
