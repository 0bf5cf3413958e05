"""A seeded PostgreSQL cluster as an archive of its data folder, kept in the cache: a dataset is seeded once for each image.

It is seeded in a container of that image, so that the official image and any other that works alike can be used. Beside the
archive lies the password that its superuser has; a stack gives it another at once.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import StackError
from harness.stack import cache
from harness.stack.cache import Say
from harness.stack.docker import session
from harness.stack.docker.container import Allotment, Place, Plan, created
from harness.stack.docker.images import Image
from harness.stack.postgres import seeding
from harness.stack.recipe import MACHINE, Recipe

#: Under a folder that is disk of the container's own; the image's own place for it differs between versions.
VOLUME = "/var/lib/flashcrowd"
DATA = f"{VOLUME}/data"
ARCHIVE = "cluster.tar"
ABOUT = "cluster.json"
#: No locale: the same order of texts in every image.
INITDB = "--encoding=UTF8 --no-locale --no-sync"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRecipe(Recipe):
    """What a seeded cluster is made of."""

    image: Image

    def made_with(self) -> Mapping[str, object]:
        """Our seeding, the server, the machine."""
        return {**seeding.MADE_WITH, **MACHINE, "image": self.image.id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A seeded cluster in the cache.

    :param archive: of its data folder
    :param password: the superuser's
    :param version_num: of the server that made it, such as 180006
    :param has_statements: whether the image has pg_stat_statements, which some builds leave out
    """

    archive: Path
    password: str = field(repr=False)
    version_num: int
    has_statements: bool

    def lay_out(self, target: Path) -> None:
        """Put the archive where a container sees it for as long as it is there; costs nothing on the same disk."""
        try:
            target.hardlink_to(self.archive)
        except OSError:
            shutil.copyfile(self.archive, target)


@contextmanager
def seeded(recipe: ClusterRecipe, place: Place, allotment: Allotment, say: Say) -> Iterator[Cluster]:
    """The seeded cluster, which nobody changes meanwhile; seeds where the cache has none.

    :raises StackError: the cache cannot be written, or seeding failed
    """
    with cache.held(recipe, lambda folder: _build(folder, recipe, place, allotment, say), say) as folder:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        yield Cluster(archive=folder / ARCHIVE, **about)


def _build(folder: Path, recipe: ClusterRecipe, place: Place, allotment: Allotment, say: Say) -> None:
    say(f"seeding {recipe.fixture.module} at scale {recipe.scale:g} (kept for later runs)")
    folder.mkdir(mode=0o700)
    password = secrets.token_urlsafe(24)
    settings = [word for name, value in seeding.BUILD_SETTINGS.items() for word in ("-c", f"{name}={value}")]
    plan = Plan(
        name="postgres-seed",
        image=recipe.image,
        command=["postgres", *settings],
        environment={"POSTGRES_PASSWORD": password, "POSTGRES_INITDB_ARGS": INITDB, "PGDATA": DATA, "TZ": "UTC"},
        allotment=allotment,
        volumes=[VOLUME],
    )
    with created(place, plan) as container:
        container.start()
        session.await_ready(container, password)
        seeding.seed_cluster(
            lambda database: session.connect(container, password, database),
            recipe.fixture,
            scale=recipe.scale,
            seed=recipe.seed,
            last_lines=container.last_lines,
        )
        with session.connect(container, password) as admin:
            about = {
                "password": password,
                "version_num": admin.info.server_version,
                "has_statements": seeding.has_statements(admin),
            }
        container.stop()
        status = container.state()["ExitCode"]
        if status != 0:
            raise StackError(f"the seeded server ended with exit status {status}:\n{container.last_lines()}")
        container.get(DATA, folder / ARCHIVE)
    (folder / ABOUT).touch(mode=0o600)
    (folder / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")
