"""Which class carries out which action, and whether a stack lets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness import model
from harness.errors import StackError
from harness.model import Action, Step
from harness.model.timeline import words
from harness.stack.stack import Stack
from harness.timeline.add_replica import AddingReplica
from harness.timeline.create_index import CreatingIndex
from harness.timeline.create_mongo_index import CreatingMongoIndex
from harness.timeline.cut_off import CuttingOff
from harness.timeline.drop_index import DroppingIndex
from harness.timeline.drop_mongo_index import DroppingMongoIndex
from harness.timeline.failpoint import SettingFailpoint
from harness.timeline.flush_cache import FlushingCache
from harness.timeline.kill import Killing
from harness.timeline.pause import Pausing
from harness.timeline.performer import Performer, Scene
from harness.timeline.run_command import RunningCommand
from harness.timeline.run_program import RunningProgram
from harness.timeline.run_sql import RunningSql
from harness.timeline.set_cpus import SettingCpus
from harness.timeline.stop import Stopping

PERFORMERS: dict[type[Any], type[Performer[Any]]] = {
    model.AddReplica: AddingReplica,
    model.Pause: Pausing,
    model.Stop: Stopping,
    model.Kill: Killing,
    model.CutOff: CuttingOff,
    model.SetCpus: SettingCpus,
    model.CreateIndex: CreatingIndex,
    model.DropIndex: DroppingIndex,
    model.CreateMongoIndex: CreatingMongoIndex,
    model.DropMongoIndex: DroppingMongoIndex,
    model.RunSql: RunningSql,
    model.RunCommand: RunningCommand,
    model.RunProgram: RunningProgram,
    model.FlushCache: FlushingCache,
    model.Failpoint: SettingFailpoint,
}


def performer(action: Action, scene: Scene, label: str) -> Performer[Any]:
    """Who carries out an action."""
    return PERFORMERS[type(action)](action, scene, label)


def check_possible(steps: Sequence[Step], stack: Stack) -> None:
    """Ask a stack, before the load begins, whether it lets everything be done.

    :raises StackError: it does not; says which step, why, and what to do
    """
    for number, step in enumerate(steps, start=1):
        if why := PERFORMERS[type(step.action)].why_not(step.action, stack):
            raise StackError(f"step {number} of the timeline, {words(step.action)}: {why}")


def kind(action: Action) -> str:
    """The action's name in events and run.json.

    >>> kind(model.CutOff(server="mongo-1"))
    'cut_off'
    """
    name = type(action).__name__
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")
