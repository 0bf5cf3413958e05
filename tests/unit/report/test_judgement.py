"""The sentence on top and the words in the cells."""

from dataclasses import replace

import pytest

from harness.model import DeadlockCount, Expect, Finding, Status, VariantVerdict, Verdict
from harness.report.html.judgement import Tone, judgement
from harness.report.html.side import sides

NO_DEADLOCKS = DeadlockCount(client=0, log=0, counter=0, matched=0)


def variant(name: str, expect: Expect, held: bool | None, threshold: bool | None = True) -> VariantVerdict:
    symptom = Finding(
        name="slow",
        criterion="p99(craft) > 2s",
        held=held,
        value=3.5 if held else None,
        unit="s",
        why_unknown="no data",
    )
    quick = Finding(name="quick", criterion="p99(craft) < 1s", held=threshold, value=0.5, unit="s")
    return VariantVerdict(
        variant=name,
        expect=expect,
        valid=True,
        why_invalid=(),
        symptoms=(symptom,),
        thresholds=(quick,) if expect is Expect.FIXED else (),
        invariants=(),
        deadlocks=NO_DEADLOCKS,
        status=Status.PASS,
    )


def verdict(status: Status, reproduced: bool | None, fixed: bool | None, **more: bool) -> Verdict:
    before = variant("before", Expect.SYMPTOMS, reproduced)
    after = variant("after", Expect.FIXED, None if fixed is None else not fixed, **more)
    return Verdict(incident="x", status=status, reproduced=reproduced, fixed=fixed, variants=(before, after))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (verdict(Status.PASS, True, True), "Reproduced, and the fix holds."),
        (verdict(Status.FAIL, True, False), "Reproduced, but the fix does not hold."),
        (verdict(Status.UNKNOWN, True, None), "Reproduced, but whether the fix holds is unknown."),
        (verdict(Status.FAIL, False, True), "Not reproduced, so that the fix shows no symptom proves nothing."),
        (verdict(Status.FAIL, False, False), "Not reproduced, but the fix does not hold."),
        (
            verdict(Status.UNKNOWN, None, None),
            "Whether it is reproduced is unknown, and whether the fix holds is unknown.",
        ),
        (
            verdict(Status.FAIL, True, True, threshold=False),
            "Reproduced, and the symptoms are gone, but a threshold is broken.",
        ),
    ],
    ids=["pass", "not fixed", "fix unknown", "not reproduced", "neither", "unknown", "threshold"],
)
def test_sentence(given: Verdict, sentence: str) -> None:
    assert judgement(given, sides(given, [])).sentence == sentence


def test_words_say_what_the_colours_say() -> None:
    given = verdict(Status.FAIL, True, False)
    (row,) = judgement(given, sides(given, [])).symptoms
    assert [(cell.word, cell.tone) for cell in row.cells if cell] == [
        ("held", Tone.AS_EXPECTED),
        ("held", Tone.NOT_AS_EXPECTED),
    ]
    given = verdict(Status.FAIL, False, True)
    (row,) = judgement(given, sides(given, [])).symptoms
    assert [(cell.word, cell.tone) for cell in row.cells if cell] == [
        ("not seen", Tone.NOT_AS_EXPECTED),
        ("gone", Tone.AS_EXPECTED),
    ]


def test_unknown_says_why_and_is_never_as_expected() -> None:
    given = verdict(Status.UNKNOWN, None, None)
    (row,) = judgement(given, sides(given, [])).symptoms
    for cell in row.cells:
        assert cell is not None
        assert (cell.word, cell.value, cell.tone, cell.why) == ("unknown", "—", Tone.UNKNOWN, "no data")


def test_thresholds_are_judged_only_where_the_fix_is_claimed() -> None:
    given = verdict(Status.PASS, True, True)
    (row,) = judgement(given, sides(given, [])).thresholds
    assert row.cells[0] is None
    assert row.cells[1] is not None
    assert row.cells[1].word == "met"


def test_invalid_is_neither_pass_nor_fail() -> None:
    given = verdict(Status.PASS, True, True)
    spoilt = replace(
        given, variants=(given.variants[0], replace(given.variants[1], valid=False, why_invalid=("late",)))
    )
    found = judgement(spoilt, sides(spoilt, []))
    assert (found.status, found.invalid) == ("invalid", (("after", ("late",)),))
    assert "fix holds" not in found.sentence
