"""One side of the report: a variant with its verdict, its run, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.model import Expect, VariantVerdict, Verdict
from harness.record.reader import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A variant as the report shows it.

    :param name: what it is called throughout the report; two runs of one variant also bear their folder's name
    :param verdict: None where the verdict does not mention this run
    :param run: None where the verdict's run folder is not at hand
    """

    index: int
    name: str
    verdict: VariantVerdict | None
    run: Run | None

    @property
    def expect(self) -> Expect | None:
        """What the variant was expected to show; None if nobody says."""
        if self.verdict is not None:
            return self.verdict.expect
        declared = variant_of(self.run).get("expect") if self.run else None
        return Expect(declared) if declared in set(Expect) else None

    @property
    def story(self) -> str:
        """What the variant is, in its author's words."""
        return str(variant_of(self.run).get("story", "")) if self.run else ""


def variant_of(run: Run) -> dict[str, Any]:
    """The variant's object of ``run.json``."""
    variant = run.meta.get("variant")
    return variant if isinstance(variant, dict) else {"name": str(variant)}


def sides(verdict: Verdict, runs: Sequence[Run]) -> list[Side]:
    """The sides in the order of the runs; what was judged but has no run folder comes last."""
    left = list(verdict.variants)
    names = [str(variant_of(run).get("name")) for run in runs]
    found: list[Side] = []
    for run, name in zip(runs, names, strict=True):
        judged = next((item for item in left if item.variant == name), None)
        if judged is not None:
            left.remove(judged)
        shown = f"{name} ({run.folder.name})" if names.count(name) > 1 else name
        found.append(Side(index=len(found), name=shown, verdict=judged, run=run))
    for judged in left:
        found.append(Side(index=len(found), name=judged.variant, verdict=judged, run=None))
    return found
