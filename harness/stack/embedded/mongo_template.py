"""Seeded files of a mongod: a dataset is seeded once, every member of every set starts from a copy out of the cache.

They are those of the only member of a set, stopped in order. All members of a new set start from equal copies and are
told its members (:func:`harness.stack.mongo.replica_set.adopt`), so nothing is copied over the network. The dataset is seeded
before there is a set, so that the oplog does not hold it a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StackError
from harness.stack import cache
from harness.stack.cache import Say, copy_tree
from harness.stack.embedded import instance as instances
from harness.stack.embedded import port as ports
from harness.stack.embedded.account import Account
from harness.stack.embedded.instance import Instance
from harness.stack.embedded.mongod import AddressInUse, Mongod, last_lines
from harness.stack.embedded.mongod_program import MongodProgram
from harness.stack.mongo import replica_set
from harness.stack.mongo import seeding as mongo_seeding
from harness.stack.recipe import MACHINE, Recipe

PORTS_TRIED = 5
_STOP_S = 60.0  # a large dataset's last checkpoint on a slow disk


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoRecipe(Recipe):
    """What a member's seeded files are made of."""

    program: MongodProgram
    account: Account

    def made_with(self) -> Mapping[str, object]:
        """Our seeding, the server, the machine."""
        return {**mongo_seeding.MADE_WITH, **MACHINE, "mongod": self.program.version}


def put_into(target: Path, recipe: MongoRecipe, say: Say) -> None:
    """Put a copy of the seeded files at ``target``, owned by the server's account; seeds them where the cache has none.

    :raises StackError: the cache cannot be written, or seeding failed
    """
    cache.put_into(target, recipe, lambda data: _build(data, recipe, say), say)
    recipe.account.own(target)
    target.chmod(0o700)


def _build(data: Path, recipe: MongoRecipe, say: Say) -> None:
    say(f"seeding {recipe.fixture.module} into MongoDB at scale {recipe.scale:g} (kept for later runs)")
    with instances.make(recipe.account) as instance:
        instance.data.mkdir(mode=0o700)
        recipe.account.own(instance.data)
        _with_mongod(instance, recipe, None, lambda host, check: _seed(host, recipe, instance))
        _with_mongod(instance, recipe, replica_set.NAME, lambda host, check: replica_set.initiate([host], check))
        # Room reserved for the journal, which a mongod makes anew: a hundred megabytes each.
        for path in (instance.data / "journal").glob("WiredTigerPreplog.*"):
            path.unlink()
        copy_tree(instance.data, data, with_holes=True)


def _with_mongod(
    instance: Instance, recipe: MongoRecipe, name: str | None, act: Callable[[str, Callable[[], None]], None]
) -> None:
    """Do something with a mongod on the files, then stop it in order."""
    mongod, host = _started(instance, recipe, name)
    try:
        act(host, mongod.check_coming_up)
        if not mongod.terminate(_STOP_S):
            raise StackError(
                f"the mongod that was seeded did not stop in {_STOP_S:.0f} s; its last lines:\n{last_lines(instance.log)}"
            )
    finally:
        mongod.kill()


def _started(instance: Instance, recipe: MongoRecipe, name: str | None) -> tuple[Mongod, str]:
    for _ in range(PORTS_TRIED):
        port = ports.lasting()
        mongod = Mongod.launch(
            instance,
            program=recipe.program,
            account=recipe.account,
            port=port,
            replica_set=name,
            cache_bytes=mongo_seeding.CACHE_BYTES,
            parameters={},
            cores=None,
        )
        try:
            replica_set.answers(f"{ports.HOST}:{port}", mongod.check_coming_up)
            return mongod, f"{ports.HOST}:{port}"
        except AddressInUse:
            continue
        except BaseException:
            mongod.kill()
            raise
    raise StackError(f"{PORTS_TRIED} ports were free and then taken, one after the other")


def _seed(host: str, recipe: MongoRecipe, instance: Instance) -> None:
    mongo_seeding.seed_mongod(
        host, recipe.fixture, scale=recipe.scale, seed=recipe.seed, last_lines=lambda: last_lines(instance.log)
    )
