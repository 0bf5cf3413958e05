"""An incident is found by its folder, and whatever is wrong with it is refused before anything starts, with a way out."""

from pathlib import Path

import pytest

from harness.catalog import OWN_FOLDER, find, load
from harness.errors import DefinitionError, Exit, UsageError
from harness.model import Expect

INCIDENT = '''"""A small incident."""

from harness.model import *

INCIDENT = Incident(
    name="stampede",
    title="A stampede",
    story="They came all at once.",
    source=Source(title="the door keeper's log", date="2024"),
    topology=Topology(postgres=PostgresServer(cpus=1, settings={"max_connections": "50"})),
    dataset=Dataset(module="fixtures.collectibles", version=1, records=("enter",), scale=0.5),
    application=Application(pool_size=10, pool_wait_limit_s=5.0),
    traffic=Traffic(
        phases=(
            Constant(name="calm", at_s=0, for_s=10, per_s=5),
            Ramp(name="doors open", at_s=10, for_s=5, per_s=5, to_per_s=50),
            Spike(name="rush", at_s=15, for_s=20, per_s=50, peak_per_s=90, peak_at_s=4),
        ),
        mix={"enter": 2, "leave": 1.5},
        retry=Retry(attempts=3, after_s=1.0, operations=("enter",)),
    ),
    variants=(
        Variant(name="before", story="one door", expect=Expect.SYMPTOMS),
        Variant(name="after", story="two doors", expect=Expect.FIXED),
    ),
    symptoms=(
        Symptom(name="slow", criterion="p99(enter) > 1s", said="slow"),
        Symptom(name="busy", criterion="postgres.cpu >= 95% for 10s during rush", said="busy"),
    ),
    thresholds=(Threshold(name="quick", criterion="p99(enter) < 100ms"),),
    drain_s=5.0,
)
'''
VARIANT = '''"""One way."""


async def enter(db, arrival):
    await db.execute("SELECT 1")


async def leave(db, arrival):
    await db.execute("SELECT 2")
'''
BAD_USERS = "import locust_that_is_not_installed\n"  # must be read, and not run


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of one's own incidents, with one in it."""
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path))
    write(tmp_path / "stampede")
    return tmp_path


def write(folder: Path, incident: str = INCIDENT) -> None:
    (folder / "variants").mkdir(parents=True)
    (folder / "incident.py").write_text(incident)
    (folder / "users.py").write_text(BAD_USERS)
    for name in ("before", "after"):
        (folder / "variants" / f"{name}.py").write_text(VARIANT)


def refusal(name: str = "stampede") -> DefinitionError:
    with pytest.raises(DefinitionError) as refused:
        load(name)
    assert refused.value.exit_code is Exit.USAGE
    return refused.value


def test_a_folder_is_all_it_takes(own: Path) -> None:
    assert find()["stampede"] == own / "stampede" / "incident.py"
    incident = load("stampede")
    assert (incident.name, incident.traffic.ends_s, incident.variant("after").expect) == ("stampede", 35, Expect.FIXED)


def test_what_is_shipped_is_found_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OWN_FOLDER, raising=False)
    assert "crafting-burst" in find()


@pytest.mark.parametrize("name", sorted(find()))
def test_what_is_shipped_is_right(name: str) -> None:
    assert load(name).name == name


def test_an_edited_declaration_is_read_anew(own: Path) -> None:
    load("stampede")
    (own / "stampede" / "incident.py").write_text(INCIDENT.replace("A stampede", "Another stampede"))
    assert load("stampede").title == "Another stampede"


def test_a_broken_incident_stands_in_no_others_way(own: Path) -> None:
    write(own / "broken", "this is (no Python")
    assert load("stampede").name == "stampede"
    assert "broken" in find()


@pytest.mark.parametrize(
    ("name", "advice"), [("stampeed", "did you mean stampede"), ("xyz", "there are crafting-burst, stampede")]
)
def test_unknown_name_has_advice(own: Path, name: str, advice: str) -> None:
    with pytest.raises(UsageError, match=advice):
        load(name)


def test_own_folder_that_does_not_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match=r"FLASHCROWD_LOADTESTS=.*nothing: no such folder"):
        find()


def test_two_folders_of_one_name(own: Path) -> None:
    write(own / "crafting_burst")
    with pytest.raises(DefinitionError, match="crafting-burst too"):
        find()


@pytest.mark.parametrize(
    ("old", "new", "field", "advice"),
    [
        # what the file is
        pytest.param("INCIDENT = Incident(", "OTHER = Incident(", "INCIDENT", "must set INCIDENT", id="no INCIDENT"),
        pytest.param("INCIDENT = Incident(", "INCIDENT = dict(", "INCIDENT", "an Incident of harness.model", id="another type"),
        pytest.param("    title=", "    titel=", "INCIDENT", "can be imported", id="unknown field"),
        pytest.param('    name="stampede",\n', "", "INCIDENT", "can be imported", id="field left out"),
        pytest.param("from harness.model import *", "import nowhere_to_be_found", "INCIDENT", "can be imported", id="import fails"),
        # types
        pytest.param('"max_connections": "50"', '"max_connections": 50', "topology.postgres.settings['max_connections']", "a text", id="setting that is no text"),
        pytest.param("per_s=5)", 'per_s="5")', "traffic.phases[0].per_s", "a number", id="rate that is a text"),
        pytest.param("per_s=5)", "per_s=True)", "traffic.phases[0].per_s", "a number", id="rate that is true"),
        pytest.param("cpus=1", "cpus='1'", "topology.postgres.cpus", "a number", id="cores in words"),
        pytest.param("expect=Expect.FIXED", 'expect="fixed"', "variants[1].expect", "Expect.FIXED", id="enum as a text"),
        pytest.param('records=("enter",)', 'records=("enter")', "dataset.records", "a comma behind it", id="tuple without its comma"),
        pytest.param('mix={"enter": 2, "leave": 1.5}', 'mix=["enter"]', "traffic.mix", "a mapping", id="mix that is a list"),
        pytest.param("pool_wait_limit_s=5.0", "pool_wait_limit_s='5s'", "application.pool_wait_limit_s", "a number or None", id="limit that is a text"),
        pytest.param('Constant(name="calm", at_s=0, for_s=10, per_s=5)', '("calm", 0, 10)', "traffic.phases[0]", "Constant or Ramp", id="phase that is none"),
        # identity
        pytest.param('name="stampede"', 'name="Stampede"', "name", "'stampede'", id="name unlike its folder"),
        pytest.param('title="A stampede"', 'title=" "', "title", "a few words", id="no title"),
        pytest.param("drain_s=5.0", "drain_s=-1", "drain_s", "0 or above", id="negative drain"),
        # servers and dataset
        pytest.param("cpus=1", "cpus=0", "topology.postgres.cpus", "a number above 0", id="no core"),
        pytest.param("{\"max_connections\": \"50\"})", "{}), services=(Service(name='web', command=()),)", "topology.services[0].command", "a program and its arguments", id="service without a command"),
        pytest.param("{\"max_connections\": \"50\"})", "{}), services=(Service(name='web', command='web'),)", "topology.services[0].command", "a tuple", id="command that is a text"),
        pytest.param('criterion="p99(enter) > 1s"', 'criterion="service.restarts > 1"', "symptoms[0].criterion", "servers that the topology has", id="series of a service that is not there"),
        pytest.param("pool_size=10", "pool_size=0", "application.pool_size", "at least 1", id="no connection"),
        pytest.param("pool_size=10", "reader_pool_size=-1", "application.reader_pool_size", "0 or more", id="fewer than no readers"),
        pytest.param("pool_wait_limit_s=5.0", "pool_wait_limit_s=0", "application.pool_wait_limit_s", "above 0", id="no time to wait"),
        pytest.param("pool_size=10", "connections=Connections.PER_USER", "application.connections", "phases of Users", id="connections of users there are not"),
        pytest.param("scale=0.5", "scale=0", "dataset.scale", "above 0", id="scale 0"),
        pytest.param("version=1", "version=0", "dataset.version", "at least 1", id="version 0"),
        pytest.param("fixtures.collectibles", "fixtures.no_such", "dataset.module", "can be imported", id="dataset that is not there"),
        pytest.param('"fixtures.collectibles"', '"json"', "dataset.seed", "a function seed(connection, scale, seed)", id="dataset that is none"),
        pytest.param('records=("enter",)', 'records=("entre",)', "dataset.records[0]", "enter, leave", id="record of an unknown operation"),
        pytest.param('records=("enter",)', 'mongo_records=("entre",)', "dataset.mongo_records[0]", "enter, leave", id="record of an unknown operation in MongoDB"),
        pytest.param("postgres.cpu", "mongo.cpu", "symptoms[1].criterion", "servers that the topology has", id="symptom of a server there is not"),
        # traffic
        pytest.param("per_s=5)", "per_s=0)", "traffic.phases[0].per_s", "above 0", id="rate 0"),
        pytest.param("per_s=5)", "per_s=-5)", "traffic.phases[0].per_s", "above 0", id="negative rate"),
        pytest.param("per_s=5)", "per_s=float('nan'))", "traffic.phases[0].per_s", "a number", id="rate that is no number"),
        pytest.param("per_s=5)", "per_s=float('inf'))", "traffic.phases[0].per_s", "a number", id="infinite rate"),
        pytest.param("for_s=10", "for_s=0", "traffic.phases[0].for_s", "above 0", id="phase of no length"),
        pytest.param("at_s=0, ", "at_s=-1, ", "traffic.phases[0].at_s", "0 or above", id="phase before the traffic"),
        pytest.param("per_s=5, to_per_s=50", "per_s=0, to_per_s=0", "traffic.phases[1].to_per_s", "above 0", id="ramp from 0 to 0"),
        pytest.param("peak_at_s=4", "peak_at_s=40", "traffic.phases[2].peak_at_s", "0 to 20", id="peak outside its phase"),
        pytest.param("at_s=10, for_s=5", "at_s=9, for_s=5", "traffic.phases[1].at_s", "at least 10", id="overlapping phases"),
        pytest.param('"doors open"', '"calm"', "traffic.phases[1].name", "no other has", id="two phases of one name"),
        pytest.param('"doors open"', '"doors  open"', "traffic.phases[1].name", "single blanks", id="phase name that no criterion can hold"),
        pytest.param('Ramp(name="doors open", at_s=10, for_s=5, per_s=5, to_per_s=50)', 'Users(name="tabs", at_s=10, for_s=5, users=5)', "traffic.phases[1]", "all open or all closed", id="open and closed mixed"),
        pytest.param('"leave": 1.5', '"leave": 0', "traffic.mix['leave']", "above 0", id="weight 0"),
        pytest.param('"leave": 1.5', '"leave": -1', "traffic.mix['leave']", "above 0", id="negative weight"),
        pytest.param('"leave": 1.5', '"leave now": 1', "traffic.mix", "a coroutine function can have", id="operation that no function can be"),
        pytest.param('"leave": 1.5', '"all": 1', "traffic.mix", "stands for all", id="operation called all"),
        pytest.param('operations=("enter",)', 'operations=("entre",)', "traffic.retry.operations[0]", "enter, leave", id="retry of an unknown operation"),
        pytest.param('operations=("enter",)', "operations=()", "traffic.retry.operations", "at least one", id="retry of nothing"),
        pytest.param("attempts=3", "attempts=1", "traffic.retry.attempts", "2 to 15", id="one attempt is no retry"),
        pytest.param("attempts=3", "attempts=16", "traffic.retry.attempts", "2 to 15", id="more attempts than a row can hold"),
        pytest.param("after_s=1.0", "after_s=-1", "traffic.retry.after_s", "0 or above", id="retry before the failure"),
        # variants and criteria
        pytest.param('Variant(name="after"', 'Variant(name="before"', "variants[1].name", "no other has", id="two variants of one name"),
        pytest.param('Variant(name="after"', 'Variant(name="af-ter"', "variants[1].name", "a module can have", id="variant that no module can be"),
        pytest.param('Variant(name="after"', 'Variant(name="later"', "variants[1].name", "later.py", id="variant without a module"),
        pytest.param('name="busy"', 'name="slow"', "symptoms[1].name", "no other has", id="two symptoms of one name"),
        pytest.param("p99(enter) > 1s", "p99(entre) > 1s", "symptoms[0].criterion", "did you mean enter", id="symptom of an unknown operation"),
        pytest.param("p99(enter) < 100ms", "p99(enter) < 100", "thresholds[0].criterion", "say ms or s", id="threshold without a unit"),
        pytest.param("during rush", "during rash", "symptoms[1].criterion", "did you mean rush", id="symptom in an unknown phase"),
        pytest.param("for 10s during rush", "for 25s during rush", "symptoms[1].criterion", "at most 20 s", id="stretch longer than its phase"),
    ],
)  # fmt: skip
def test_is_refused(own: Path, old: str, new: str, field: str, advice: str) -> None:
    assert INCIDENT.count(old) >= 1
    (own / "stampede" / "incident.py").write_text(INCIDENT.replace(old, new, 1))
    error = refusal()
    assert error.where.startswith(str(own / "stampede" / "incident.py"))
    assert error.field == field
    assert advice in str(error)


def without(begin: str, end: str, instead: str) -> str:
    first = INCIDENT.index(begin)
    return INCIDENT[:first] + instead + INCIDENT[INCIDENT.index(end, first) + len(end) :]


@pytest.mark.parametrize(
    ("incident", "field", "advice"),
    [
        pytest.param(without("        phases=(", "\n        ),", "        phases=(),"), "traffic.phases", "at least one phase", id="no phase"),
        pytest.param(without("    variants=(", "\n    ),", "    variants=(),"), "variants", "at least one variant", id="no variant"),
        pytest.param(without("    symptoms=(", "\n    ),", "    symptoms=(),"), "symptoms", "is expected to show them", id="no symptom to show"),
        pytest.param(
            without("    symptoms=(", "\n    ),", "    symptoms=(),").replace("Expect.SYMPTOMS", "Expect.NOTHING").replace("thresholds=(Threshold(name=\"quick\", criterion=\"p99(enter) < 100ms\"),)", "thresholds=()"),
            "symptoms", "at least one symptom or threshold", id="nothing to be fixed"),
        pytest.param(INCIDENT.replace("expect=Expect.", "by_default=False, expect=Expect."), "variants", "by_default", id="nothing to run"),
        pytest.param(without("mix={", "}", "mix={}").replace('records=("enter",), ', ""), "traffic.mix", "at least one operation", id="no operation"),
    ],
)  # fmt: skip
def test_what_is_missing_is_refused(own: Path, incident: str, field: str, advice: str) -> None:
    (own / "stampede" / "incident.py").write_text(incident)
    error = refusal()
    assert error.field == field
    assert advice in error.expected


def test_syntax_error_has_file_line_and_text(own: Path) -> None:
    (own / "stampede" / "incident.py").write_text('"""An incident."""\n\nINCIDENT = = 3\n')
    error = refusal()
    assert error.where == f"{own / 'stampede' / 'incident.py'}:3"
    assert (error.field, error.value) == ("syntax", "INCIDENT = = 3")


def test_failing_import_has_its_line(own: Path) -> None:
    (own / "stampede" / "incident.py").write_text("import math\n\nmath.no_such()\n")
    error = refusal()
    assert error.where == f"{own / 'stampede' / 'incident.py'}:3"
    assert "AttributeError" in str(error.value)


def test_no_users(own: Path) -> None:
    (own / "stampede" / "users.py").unlink()
    error = refusal()
    assert error.field == "users.py"
    assert "a variant without users" in error.expected


@pytest.mark.parametrize("name", ["users.py", "variants/before.py"])
def test_syntax_error_in_what_is_not_imported(own: Path, name: str) -> None:
    (own / "stampede" / name).write_text("\ndef (:\n")
    error = refusal()
    assert (error.where, error.field) == (f"{own / 'stampede' / name}:2", "syntax")


LEAVE = "async def leave(db, arrival):"


@pytest.mark.parametrize(
    ("variant", "what"),
    [
        pytest.param(VARIANT.replace(LEAVE, "async def depart(db, arrival):"), "nothing", id="operation left out"),
        pytest.param(VARIANT.replace(LEAVE, "def leave(db, arrival):").replace("await db.execute(\"SELECT 2\")", "pass"), "a function without async", id="no coroutine function"),
        pytest.param(VARIANT.replace(LEAVE, "class leave:\n    async def run(db, arrival):").replace('    await db.execute("SELECT 2")', '        await db.execute("SELECT 2")'), "a class", id="a class"),
        pytest.param(VARIANT + "\nleave = 3\n", "a value", id="overwritten by a value"),
        pytest.param("from .before import enter\nfrom .gone import leave\n", "an import from gone.py, which is not there", id="import of nothing"),
        pytest.param("from .before import enter\nfrom .after import leave\n", "an import in a circle", id="import in a circle"),
        pytest.param("from .before import enter\nfrom .before import enter2 as leave\n", "nothing", id="import of what the sibling lacks"),
    ],
)  # fmt: skip
def test_variant_without_its_operation(own: Path, variant: str, what: str) -> None:
    path = own / "stampede" / "variants" / "after.py"
    path.write_text(variant)
    error = refusal()
    assert (error.where, error.field, error.value) == (str(path), "leave", what)


def test_operations_may_come_from_a_sibling(own: Path) -> None:
    after = own / "stampede" / "variants" / "after.py"
    for text in ("from .before import enter, leave\n", "from stampede.variants.before import enter as enter, leave\n"):
        after.write_text(text)
        assert load("stampede").name == "stampede"


def test_a_sibling_of_another_incident_is_none_of_these(own: Path) -> None:
    text = "from loadtests.crafting_burst.variants.after import craft as enter, view_recipe as leave\n"
    (own / "stampede" / "variants" / "after.py").write_text(text)
    assert load("stampede").name == "stampede"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("drain_s=5.0,", "drain_s=5.0, timeline=(Step(at_s=99, action=AddReplica()),),", "timeline[0].at_s"),
        (
            "expect=Expect.FIXED)",
            "expect=Expect.FIXED, timeline=(Step(at_s=9, action=Pause(server='mongo-1')),))",
            "variants[1].timeline[0].action.server",
        ),
    ],
)
def test_a_timeline_is_checked_too(own: Path, old: str, new: str, field: str) -> None:
    path = own / "stampede" / "incident.py"
    path.write_text(INCIDENT.replace(old, new))
    error = refusal()
    assert (error.where, error.field) == (str(path), field)


def test_a_variants_timeline_stands_in_place_of_the_incidents(own: Path) -> None:
    text = INCIDENT.replace("drain_s=5.0,", "drain_s=5.0, timeline=(Step(at_s=9, action=Pause(server='postgres')),),")
    (own / "stampede" / "incident.py").write_text(
        text.replace("expect=Expect.FIXED)", "expect=Expect.FIXED, timeline=())")
    )
    incident = load("stampede")
    assert [step.at_s for step in incident.steps("before")] == [9]
    assert incident.steps("after") == ()
