"""pass, fail, unknown: from findings, invariants and validity to one word, and what verdict.json says of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import DefinitionError, Exit, UsageError
from harness.model import DeadlockCount, Expect, Finding, Invariant, Status, VariantVerdict
from harness.record.reader import Run
from harness.verdict import combine, exit_code, judge, to_json
from tests.unit.runs import RunBuilder, steady

SLOW = {"name": "slow", "criterion": "p99(craft) > 1s", "said": "long response times"}
FAILING = {"name": "failing", "criterion": "errors(craft) > 50%", "said": "not working"}
UNSEEN = {"name": "unseen", "criterion": "max(postgres.blocked) > 5", "said": "locks"}
QUICK = {"name": "quick", "criterion": "p99(craft) < 100ms"}
STRICT = {"name": "strict", "criterion": "p99(craft) < 1ms"}


def run(folder: Path, **changes: object) -> Run:
    """A valid run; ``slow`` makes its requests slow and failing."""
    slow = changes.pop("slow", False)
    requests = [replace(one, response_s=3.0, outcome="57014") for one in steady()] if slow else steady()
    return RunBuilder(folder=folder, requests=requests, **changes).quiet_probes().write()  # type: ignore[arg-type]


BEFORE = {"variant": "before", "expect": "symptoms", "symptoms": [SLOW, FAILING]}
AFTER = {"variant": "after", "expect": "fixed", "symptoms": [SLOW, FAILING], "thresholds": [QUICK]}
BROKEN = [{"name": "nothing lost", "violations": 3, "detail": "ids 1, 2, 3"}]
NOT_CHECKED = [{"name": "nothing lost", "violations": None, "detail": "no connection"}]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({**BEFORE, "slow": True}, Status.PASS, id="every symptom seen"),
        pytest.param({**BEFORE}, Status.FAIL, id="no symptom seen"),
        pytest.param({**BEFORE, "slow": True, "symptoms": [SLOW, UNSEEN]}, Status.UNKNOWN, id="one symptom unknown"),
        pytest.param({**BEFORE, "symptoms": [SLOW, UNSEEN]}, Status.FAIL, id="one not seen, another unknown"),
        pytest.param({**BEFORE, "slow": True, "thresholds": [QUICK]}, Status.PASS, id="thresholds are not for the system as it was"),
        pytest.param({**AFTER}, Status.PASS, id="no symptom left"),
        pytest.param({**AFTER, "slow": True}, Status.FAIL, id="symptoms left"),
        pytest.param({**AFTER, "thresholds": [STRICT]}, Status.FAIL, id="a threshold missed"),
        pytest.param({**AFTER, "symptoms": [SLOW, UNSEEN]}, Status.UNKNOWN, id="a symptom that may be left"),
        pytest.param({**AFTER, "thresholds": [STRICT], "symptoms": [UNSEEN]}, Status.FAIL, id="fail goes before unknown"),
        pytest.param({**AFTER, "expect": "nothing", "slow": True}, Status.PASS, id="nothing expected"),
        pytest.param({**BEFORE, "slow": True, "invariants": BROKEN}, Status.FAIL, id="invariant violated before"),
        pytest.param({**AFTER, "invariants": BROKEN}, Status.FAIL, id="invariant violated after"),
        pytest.param({**AFTER, "expect": "nothing", "invariants": BROKEN}, Status.FAIL, id="invariant violated where nothing is expected"),
        pytest.param({**AFTER, "invariants": NOT_CHECKED}, Status.UNKNOWN, id="invariant not checked"),
        pytest.param({**AFTER, "invariants": None}, Status.UNKNOWN, id="dataset not checked"),
        pytest.param({**AFTER, "invariants": []}, Status.PASS, id="dataset without invariants"),
        pytest.param({**AFTER, "finished": None}, Status.UNKNOWN, id="killed"),
        pytest.param({**BEFORE, "finished": None}, Status.UNKNOWN, id="killed, and not seen"),
        pytest.param({**AFTER, "invariants": BROKEN, "finished": None}, Status.UNKNOWN, id="killed, and violated"),
    ],
)  # fmt: skip
def test_status_of_a_variant(tmp_path: Path, changes: dict[str, object], status: Status) -> None:
    got = judge(run(tmp_path, **changes))
    assert got.status is status
    assert got.valid is (not got.why_invalid) is (changes.get("finished", True) is not None)


def test_findings_of_an_invalid_run_are_shown(tmp_path: Path) -> None:
    got = judge(run(tmp_path, **BEFORE, slow=True, finished=None))
    assert [(one.name, one.held, one.value) for one in got.symptoms] == [("slow", True, 3.0), ("failing", True, 1.0)]


def test_criterion_of_another_version_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"run\.json: symptoms\[0\]\.criterion"):
        judge(run(tmp_path, symptoms=[{"name": "odd", "criterion": "quantile(craft) > 1s", "said": ""}]))


# --- the deadlocks, counted three times


def graph(number: int) -> str:
    return (
        f"Process 12 waits for ShareLock on transaction {number}; blocked by process 56.\n"
        f"Process 56 waits for ShareLock on transaction {number + 1}; blocked by process 12."
    )


def report(number: int) -> dict[str, object]:
    edges = [(12, number, 56), (56, number + 1, 12)]
    processes = [
        {"pid": pid, "mode": "ShareLock", "object": f"transaction {lock}", "waits_for": f"ShareLock on transaction {lock}",
         "blocked_by": by, "statement": "UPDATE"}
        for pid, lock, by in edges
    ]  # fmt: skip
    return {"at_s": 12.0, "victim_pid": 12, "processes": processes, "failed_statement": "UPDATE", "context": ""}


def deadlocked(
    folder: Path, *, client: int, log: int | None, counter: int, told: list[str] | None = None
) -> VariantVerdict:
    requests = [replace(one, outcome="40P01" if at < client else "ok") for at, one in enumerate(steady())]
    details = [graph(at) for at in range(client)] if told is None else told
    builder = RunBuilder(
        folder=folder,
        requests=requests,
        deadlocks=None if log is None else [report(at) for at in range(log)],
        failures=[{"outcome": "40P01", "detail": detail} for detail in details]
        + [{"outcome": "57014", "detail": graph(0)}],
    ).quiet_probes()
    builder.samples = [entry for entry in builder.samples if entry[0] != "database"]
    values: dict[float, float | None] = {float(at): 3.0 + (counter if at > 20 else 0) for at in range(-1, 42)}
    return judge(builder.ticks("database", "pg_stat_database_deadlocks", values).write())


def test_three_counts_that_agree(tmp_path: Path) -> None:
    got = deadlocked(tmp_path, client=2, log=2, counter=2)
    assert got.deadlocks == DeadlockCount(client=2, log=2, counter=2, matched=2)
    assert (got.deadlocks.agree, got.valid) == (True, True)


def test_three_counts_that_disagree_are_no_measurement(tmp_path: Path) -> None:
    got = deadlocked(tmp_path, client=2, log=3, counter=3)
    assert (got.valid, got.status) == (False, Status.UNKNOWN)
    assert (
        "the three counts of deadlocks disagree: clients were told of 2, the server's log has 3, its counter gained 3"
        in got.why_invalid[0]
    )


def test_what_was_not_counted_does_not_disagree(tmp_path: Path) -> None:
    got = deadlocked(tmp_path, client=2, log=None, counter=2)
    assert got.deadlocks == DeadlockCount(client=2, log=None, counter=2, matched=None)
    assert (got.deadlocks.agree, got.valid) == (None, True)


@pytest.mark.parametrize(
    ("told", "matched"),
    [
        pytest.param([graph(0), graph(1)], 2, id="both"),
        pytest.param([graph(0), graph(7)], 1, id="one of other transactions"),
        pytest.param([graph(0), graph(0)], 1, id="one told twice matches once"),
        pytest.param([graph(0).splitlines()[0], graph(1)], 2, id="one that the client cut"),
        pytest.param([], 0, id="clients that kept nothing"),
    ],
)
def test_reports_of_the_log_are_found_again_at_the_clients(tmp_path: Path, told: list[str], matched: int) -> None:
    assert deadlocked(tmp_path, client=2, log=2, counter=2, told=told).deadlocks.matched == matched


def test_no_request_and_no_sample_is_no_count(tmp_path: Path) -> None:
    got = judge(RunBuilder(folder=tmp_path, deadlocks=None).write())
    assert got.deadlocks == DeadlockCount(client=None, log=None, counter=None, matched=None)


MONGO_ONLY = {"stack": {"provider": "embedded", "mongo": {"version": "6.0.5", "members": [{"name": "mongo-1"}]}}}


def test_without_postgresql_deadlocks_are_not_counted(tmp_path: Path) -> None:
    got = judge(run(tmp_path, **BEFORE, slow=True, meta=MONGO_ONLY))
    assert (got.deadlocks, got.valid, got.status) == (None, True, Status.PASS)
    assert to_json(combine("craft", [got]))["variants"]["before"]["deadlocks"] is None


# --- several variants


def finding(held: bool | None, value: float | None = 1.0) -> Finding:
    return Finding(name="slow", criterion="p99(craft) > 1s", held=held, value=value, unit="s")


def variant(name: str, expect: Expect, status: Status, *held: bool | None, valid: bool = True) -> VariantVerdict:
    return VariantVerdict(
        variant=name,
        expect=expect,
        valid=valid,
        why_invalid=() if valid else ("killed",),
        symptoms=tuple(finding(one) for one in held),
        thresholds=(),
        invariants=(),
        deadlocks=DeadlockCount(client=0, log=0, counter=0, matched=0),
        status=status,
    )


SEEN = variant("before", Expect.SYMPTOMS, Status.PASS, True, True)
NOT_SEEN = variant("before", Expect.SYMPTOMS, Status.FAIL, True, False)
PERHAPS_SEEN = variant("before", Expect.SYMPTOMS, Status.UNKNOWN, True, None)
NOT_TRUSTED = variant("before", Expect.SYMPTOMS, Status.UNKNOWN, True, True, valid=False)
GONE = variant("after", Expect.FIXED, Status.PASS, False, False)
LEFT = variant("after", Expect.FIXED, Status.FAIL, False, True)
SHOWN = variant("partial", Expect.NOTHING, Status.PASS, True, False)
SHOWN_UNKNOWN = variant("partial", Expect.NOTHING, Status.UNKNOWN, True, False, valid=False)
SHOWN_BROKEN = variant("partial", Expect.NOTHING, Status.FAIL, True, False)


@pytest.mark.parametrize(
    ("variants", "status", "reproduced", "fixed"),
    [
        pytest.param([SEEN, GONE], Status.PASS, True, True, id="reproduced and fixed"),
        pytest.param([NOT_SEEN, GONE], Status.FAIL, False, True, id="not reproduced"),
        pytest.param([SEEN, LEFT], Status.FAIL, True, False, id="not fixed"),
        pytest.param([PERHAPS_SEEN, GONE], Status.UNKNOWN, None, True, id="perhaps reproduced"),
        pytest.param([PERHAPS_SEEN, LEFT], Status.FAIL, None, False, id="fail goes before unknown"),
        pytest.param([NOT_TRUSTED, GONE], Status.UNKNOWN, None, True, id="invalid"),
        pytest.param([SEEN], Status.PASS, True, None, id="only before"),
        pytest.param([GONE], Status.PASS, None, True, id="only after"),
        pytest.param([SEEN, GONE, SHOWN_UNKNOWN], Status.PASS, True, True, id="what nobody expects anything of does not count"),
        pytest.param([SEEN, GONE, SHOWN_BROKEN], Status.FAIL, True, True, id="unless it broke the data"),
        pytest.param([SHOWN], Status.PASS, None, None, id="nothing else was run"),
        pytest.param([SHOWN_UNKNOWN], Status.UNKNOWN, None, None, id="nothing else was run, and that is invalid"),
        pytest.param([], Status.UNKNOWN, None, None, id="nothing was run"),
    ],
)  # fmt: skip
def test_verdict_of_an_incident(
    variants: list[VariantVerdict], status: Status, reproduced: bool | None, fixed: bool | None
) -> None:
    got = combine("crafting-burst", variants)
    assert (got.status, got.reproduced, got.fixed) == (status, reproduced, fixed)


def test_a_variant_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="before, before"):
        combine("crafting-burst", [SEEN, NOT_SEEN])


@pytest.mark.parametrize(("variants", "code"), [([SEEN, GONE], Exit.FINE), ([SEEN, LEFT], 99), ([NOT_TRUSTED], 98)])
def test_exit_codes(variants: list[VariantVerdict], code: int) -> None:
    assert exit_code(combine("crafting-burst", variants)) == code


def test_verdict_json(tmp_path: Path) -> None:
    before = judge(run(tmp_path / "before", **BEFORE, slow=True))
    got = to_json(combine("crafting-burst", [before]))
    slow = {"name": "slow", "criterion": "p99(craft) > 1s", "held": True, "value": 3.0, "unit": "s",
            "first_s": 3.0, "worst": 3.0, "count": 600}  # fmt: skip
    failing = {"name": "failing", "criterion": "errors(craft) > 50%", "held": True, "value": 1.0, "unit": "ratio",
               "first_s": 3.0, "worst": None, "count": 600}  # fmt: skip
    assert got == {
        "format": 1,
        "incident": "crafting-burst",
        "status": "pass",
        "reproduced": True,
        "fixed": None,
        "variants": {
            "before": {
                "valid": True,
                "why_invalid": [],
                "symptoms": [slow, failing],
                "thresholds": [],
                "invariants": [{"name": "nothing lost", "violations": 0, "detail": ""}],
                "deadlocks": {"client": 0, "log": 0, "counter": 0, "matched": 0, "agree": True},
                "status": "pass",
                "expect": "symptoms",
                "notes": [],
            }
        },
    }


def test_verdict_json_has_no_number_that_json_does_not_know() -> None:
    odd = replace(SEEN, symptoms=(replace(finding(None, float("nan")), worst=float("inf"), first_s=float("-inf")),))
    text = json.dumps(to_json(combine("x", [odd])), allow_nan=False)
    [symptom] = json.loads(text)["variants"]["before"]["symptoms"]
    assert (symptom["value"], symptom["worst"], symptom["first_s"]) == (None, None, None)


def test_invariants_are_kept(tmp_path: Path) -> None:
    assert judge(run(tmp_path, **AFTER, invariants=BROKEN)).invariants == (
        Invariant(name="nothing lost", violations=3, detail="ids 1, 2, 3"),
    )
