"""Seeded files of a mongod in a container, kept in the cache: a dataset is seeded once for each image.

As for embedded servers they are those of the only member of a set, stopped in order
(:mod:`harness.stack.embedded.mongo_template`).
"""

from __future__ import annotations

import platform
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.dataset import Fixture
from harness.errors import StackError
from harness.model import MongoReplicaSet
from harness.stack import mongo_seeding, replica_set
from harness.stack.docker.container import Allotment, Place, created
from harness.stack.docker.images import Image
from harness.stack.docker.member import DATA, IN_SET, PORT, DockerMember, plan_of
from harness.stack.embedded import cache
from harness.stack.embedded.cache import Say, copy_tree

SEED_PORT = PORT + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a member's seeded files are made of."""

    fixture: Fixture
    scale: float
    seed: int
    image: Image

    def made_of(self) -> dict[str, object]:
        """The same as JSON values; equal recipes give equal data."""
        return {
            **mongo_seeding.made_of(self.fixture, self.scale, self.seed),
            "image": self.image.id,
            "machine": f"{platform.system()} {platform.machine()}",
        }

    def key(self) -> str:
        """Name of the entry."""
        return cache.key(self.fixture.module, self.made_of())


def put_into(target: Path, recipe: Recipe, place: Place, allotment: Allotment, say: Say) -> None:
    """Put a copy of the seeded files at ``target``; seeds them where the cache has none.

    :raises StackError: the cache cannot be written, or seeding failed
    """
    cache.put_into(target, recipe, lambda data: _build(data, recipe, place, allotment, say), say)


def _build(data: Path, recipe: Recipe, place: Place, allotment: Allotment, say: Say) -> None:
    say(f"seeding {recipe.fixture.module} into MongoDB at scale {recipe.scale:g} (kept for later runs)")
    asked = MongoReplicaSet(cache_bytes=mongo_seeding.CACHE_BYTES)
    plan = plan_of("mongo-seed", asked, recipe.image, place, allotment, None, port=SEED_PORT)
    with created(place, plan) as container, tempfile.TemporaryDirectory(dir=place.folder) as name:
        member = DockerMember(container, allotment, port=SEED_PORT)
        member.start()
        mongo_seeding.seed_mongod(
            member.host, recipe.fixture, scale=recipe.scale, seed=recipe.seed, last_lines=container.last_lines
        )
        _stop(member)
        (container.log / IN_SET).touch()
        member.start()
        # A member that starts from these files looks for itself at this address first: it is refused there, at once.
        replica_set.initiate([member.host], member.check_coming_up, known_as=[f"127.0.0.1:{SEED_PORT}"])
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
