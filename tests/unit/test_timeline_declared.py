"""A timeline that cannot be carried out is refused before anything starts, with what would be right."""

import pytest

from harness.catalog.declared_types import type_problem
from harness.catalog.timeline import timeline_problem
from harness.model import (
    Action,
    AddReplica,
    Constant,
    CreateIndex,
    CreateMongoIndex,
    CutOff,
    DropIndex,
    DropMongoIndex,
    Expect,
    Failpoint,
    FlushCache,
    Kill,
    Pause,
    PostgresServer,
    RunCommand,
    RunProgram,
    RunSql,
    Service,
    SetCpus,
    Step,
    Stop,
    Topology,
    Traffic,
    Variant,
)
from harness.model.system import MongoReplicaSet
from harness.model.timeline import undo_of, words

BOTH = Topology(postgres=PostgresServer(replicas=1), mongo=MongoReplicaSet(failpoints=True))
POSTGRES_ONLY = Topology()
MONGO_ONLY = Topology(postgres=None, mongo=MongoReplicaSet(members=1))
TRAFFIC = Traffic(phases=(Constant(name="burst", at_s=0, for_s=30, per_s=5),), mix={"craft": 1})
INDEX = CreateIndex(name="by_owner", on="items", keys=("owner_id",))
MONGO_INDEX = CreateMongoIndex(collection="players", name="by_level", keys={"level": 1})

GOOD: tuple[Step, ...] = (
    Step(at_s=0, action=AddReplica()),
    Step(at_s=1, for_s=2, action=Pause(server="postgres-replica-2")),
    Step(at_s=4, for_s=2, action=Pause(server="postgres-replica-2")),
    Step(at_s=1, for_s=3, action=CutOff(server="mongo-primary")),
    Step(at_s=2, for_s=3, action=Kill(server="mongo-1")),
    Step(when="postgres.cpu >= 90% for 5s", action=SetCpus(server="postgres", cpus=2)),
    Step(when="deadlocks > 10 during burst", action=INDEX, for_s=5),
    Step(when="max(postgres.connections) > 5", action=FlushCache()),
    Step(when="last(postgres.active) < 5", action=FlushCache(server="mongo-2", restart=True)),
    Step(at_s=29.9, action=RunSql(sql="BEGIN; LOCK TABLE items", keep_open=True), for_s=60),
    Step(at_s=3, action=RunCommand(command={"fsync": 1, "lock": True}, undo={"fsyncUnlock": 1}), for_s=1),
    Step(at_s=3, action=RunProgram(arguments=("true",)), for_s=1),
    Step(at_s=3, action=Failpoint(name="rsSyncApplyStop", server="mongo-secondaries"), for_s=1),
    Step(at_s=5, action=Failpoint(name="rsSyncApplyStop", server="mongo-secondaries", mode={"times": 3}), for_s=1),
    Step(at_s=3, action=DropMongoIndex(collection="players", name="old")),
    Step(at_s=3, action=MONGO_INDEX),
)


def test_a_good_timeline_is_taken() -> None:
    assert timeline_problem(GOOD, "timeline", BOTH, TRAFFIC) is None
    assert all(type_problem(step) is None for step in GOOD)


@pytest.mark.parametrize(
    ("topology", "steps", "field", "advice"),
    [
        pytest.param(BOTH, [Step(action=AddReplica())], "timeline[0].at_s", "either at_s or when", id="no time"),
        pytest.param(BOTH, [Step(at_s=1, when="deadlocks > 1", action=AddReplica())], "timeline[0].at_s", "not both", id="two times"),
        pytest.param(BOTH, [Step(at_s=30, action=AddReplica())], "timeline[0].at_s", "0 to below 30", id="after the traffic"),
        pytest.param(BOTH, [Step(at_s=-1, action=AddReplica())], "timeline[0].at_s", "0 to below 30", id="before the traffic"),
        pytest.param(BOTH, [Step(at_s=1, for_s=0, action=Pause(server="mongo-1"))], "timeline[0].for_s", "above 0", id="no length"),
        pytest.param(BOTH, [Step(at_s=1, limit_s=0, action=Pause(server="mongo-1"))], "timeline[0].limit_s", "above 0", id="no limit"),
        pytest.param(BOTH, [Step(at_s=1, for_s=3, action=FlushCache())], "timeline[0].for_s", "cannot be undone", id="for_s without undo"),
        pytest.param(BOTH, [Step(at_s=1, for_s=3, action=AddReplica())], "timeline[0].for_s", "cannot be undone", id="for_s of a replica"),
        pytest.param(BOTH, [Step(at_s=1, for_s=3, action=RunSql(sql="VACUUM"))], "timeline[0].for_s", "give the action an undo", id="SQL without undo"),
        pytest.param(BOTH, [Step(at_s=1, action=Pause(server="postgres-replica-2"))], "timeline[0].action.server", "postgres-replica-1, postgres-replicas", id="a replica too many"),
        pytest.param(POSTGRES_ONLY, [Step(at_s=1, action=Pause(server="mongo-1"))], "timeline[0].action.server", "one of postgres", id="no such server"),
        pytest.param(MONGO_ONLY, [Step(at_s=1, action=Pause(server="mongo-secondaries"))], "timeline[0].action.server", "one of mongo-1, mongo-primary", id="no secondaries"),
        pytest.param(BOTH, [Step(at_s=1, action=RunSql(sql="SELECT 1", server="mongo-1"))], "timeline[0].action.server", "one of postgres, postgres-replica-1", id="SQL for MongoDB"),
        pytest.param(BOTH, [Step(at_s=1, action=RunCommand(command={"ping": 1}, server="postgres"))], "timeline[0].action.server", "one of mongo-1", id="a command for PostgreSQL"),
        pytest.param(MONGO_ONLY, [Step(at_s=1, action=INDEX)], "timeline[0].action", "a topology with PostgreSQL", id="no PostgreSQL"),
        pytest.param(POSTGRES_ONLY, [Step(at_s=1, action=MONGO_INDEX)], "timeline[0].action", "a topology with MongoDB", id="no MongoDB"),
        pytest.param(MONGO_ONLY, [Step(at_s=1, action=Failpoint(name="x", server="mongo-1"))], "timeline[0].action", "failpoints=True", id="no failpoints"),
        pytest.param(BOTH, [Step(at_s=1, action=Failpoint(name="x", server="mongo-1", mode="on"))], "timeline[0].action.mode", "alwaysOn", id="no mode"),
        pytest.param(BOTH, [Step(at_s=1, action=FlushCache(server="mongo-1"))], "timeline[0].action.restart", "by a restart", id="MongoDB's cache"),
        pytest.param(BOTH, [Step(at_s=1, action=SetCpus(server="mongo-1", cpus=0))], "timeline[0].action.cpus", "above 0", id="no cores"),
        pytest.param(BOTH, [Step(at_s=1, action=RunProgram(arguments=()))], "timeline[0].action.arguments", "a program", id="no program"),
        pytest.param(BOTH, [Step(at_s=1, action=CreateIndex(name=" ", on="items", keys=("a",)))], "timeline[0].action.name", "a name", id="no name"),
        pytest.param(BOTH, [Step(when="postgres.gpu >= 90% for 5s", action=AddReplica())], "timeline[0].when", "did you mean", id="unknown series"),
        pytest.param(BOTH, [Step(when="postgres.cpu >= 90%", action=AddReplica())], "timeline[0].when", "for how long", id="no stretch"),
        pytest.param(BOTH, [Step(when="p99(craft) > 1s", action=AddReplica())], "timeline[0].when", "after the run only", id="requests"),
        pytest.param(BOTH, [Step(when="max(pool.waiting) > 1", action=AddReplica())], "timeline[0].when", "after the run only", id="of the workers"),
        pytest.param(BOTH, [Step(when="mean(postgres.cpu) > 50%", action=AddReplica())], "timeline[0].when", "when the run is over", id="a mean"),
        pytest.param(BOTH, [Step(when="max(postgres.cpu) < 50%", action=AddReplica())], "timeline[0].when", "when the run is over", id="a maximum that may still come"),
        pytest.param(BOTH, [Step(when="deadlocks < 5", action=AddReplica())], "timeline[0].when", "only grows", id="few so far"),
        pytest.param(MONGO_ONLY, [Step(when="deadlocks > 5", action=Pause(server="mongo-1"))], "timeline[0].when", "servers that the topology has", id="a series of no server"),
        pytest.param(BOTH, [Step(at_s=1, action=Pause(server="postgres")), Step(at_s=5, action=Stop(server="postgres"))], "timeline[1]", "taken away by timeline[0] (pause postgres at 1 s)", id="stop while paused"),
        pytest.param(BOTH, [Step(at_s=5, for_s=2, action=Kill(server="postgres-replica-1")), Step(at_s=1, for_s=5, action=Pause(server="postgres-replicas"))], "timeline[1]", "taken away", id="one of all of them"),
        pytest.param(BOTH, [Step(at_s=1, action=CutOff(server="mongo-1")), Step(at_s=5, action=Kill(server="mongo-1"))], "timeline[1]", "taken away", id="killed where nobody sees it"),
        pytest.param(BOTH, [Step(at_s=1, action=SetCpus(server="postgres", cpus=2)), Step(at_s=5, action=SetCpus(server="postgres", cpus=1))], "timeline[1]", "its cores are set", id="cores twice"),
        pytest.param(BOTH, [Step(at_s=1, action=INDEX), Step(at_s=5, action=INDEX)], "timeline[1]", "that index is created", id="an index twice"),
        pytest.param(BOTH, [Step(at_s=1, action=DropIndex(name="x")), Step(at_s=5, action=DropIndex(name="x"))], "timeline[1]", "that index is dropped", id="dropped twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(topology: Topology, steps: list[Step], field: str, advice: str) -> None:
    problem = timeline_problem(steps, "timeline", topology, TRAFFIC)
    assert problem is not None
    assert problem.field == field
    assert advice in problem.expected


WEB = Service(name="web", command=("web",), instances=2)
WITH_SERVICE = Topology(services=(WEB,))


@pytest.mark.parametrize(
    "step",
    [
        Step(at_s=1, for_s=2, action=Kill(server="web-2")),
        Step(at_s=1, for_s=2, action=Pause(server="web")),
        Step(at_s=1, action=FlushCache(server="web", restart=True)),
        Step(when="service.restarts >= 1", action=SetCpus(server="web-1", cpus=2)),
    ],
)
def test_a_timeline_may_act_upon_services(step: Step) -> None:
    assert timeline_problem([step], "timeline", WITH_SERVICE, TRAFFIC) is None


@pytest.mark.parametrize(
    ("topology", "steps", "field", "advice"),
    [
        pytest.param(WITH_SERVICE, [Step(at_s=1, action=Kill(server="web-3"))], "timeline[0].action.server", "one of postgres, web-1, web-2, web", id="an instance too many"),
        pytest.param(WITH_SERVICE, [Step(at_s=1, action=RunSql(sql="SELECT 1", server="web-1"))], "timeline[0].action.server", "one of postgres", id="SQL for a service"),
        pytest.param(WITH_SERVICE, [Step(at_s=1, action=FlushCache(server="web"))], "timeline[0].action.restart", "go with its process", id="a service's cache"),
        pytest.param(WITH_SERVICE, [Step(at_s=1, action=Stop(server="web")), Step(at_s=5, action=Kill(server="web-2"))], "timeline[1]", "taken away by timeline[0] (stop web at 1 s)", id="all and one of them"),
        pytest.param(POSTGRES_ONLY, [Step(when="service.restarts >= 1", action=Pause(server="postgres"))], "timeline[0].when", "servers that the topology has", id="a series of no service"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_to_services_is_refused(
    topology: Topology, steps: list[Step], field: str, advice: str
) -> None:
    problem = timeline_problem(steps, "timeline", topology, TRAFFIC)
    assert problem is not None
    assert problem.field == field
    assert advice in problem.expected


def test_types_inside_a_variants_timeline_are_told_by_their_path() -> None:
    wrong = Variant(
        name="before",
        story="",
        expect=Expect.NOTHING,
        timeline=(Step(at_s=1, action=Pause(server=3)),),  # type: ignore[arg-type]
    )
    problem = type_problem(wrong)
    assert problem is not None
    assert (problem.field, problem.value) == ("timeline[0].action.server", 3)


@pytest.mark.parametrize("action", [step.action for step in GOOD], ids=lambda action: type(action).__name__)
def test_every_action_says_what_it_does_and_how_it_is_undone(action: Action) -> None:
    assert words(action)
    irreversible = isinstance(action, AddReplica | FlushCache)
    assert (undo_of(action) is None) is irreversible
