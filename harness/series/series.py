"""What a sampled series is: which samples it is made of, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.model import Labels


class Kind(StrEnum):
    """How a sampled series comes from its metric."""

    GAUGE = "gauge"  # the samples themselves, summed over labels that are not fixed
    RATE = "rate"  # increase per second between consecutive samples of a counter
    TOTAL = "total"  # increase of a counter over the run (or phase): one number


class Combine(StrEnum):
    """How samples of one instant that differ in labels become one value."""

    SUM = "sum"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A sampled series.

    :param metric: metric whose samples it is made of
    :param labels: only samples with these label values count; a value may be a ``|``-separated choice, and ``*`` in it
        stands for anything
    :param per: metric that the value is divided by, such as the limit that it is a share of: its latest sample, or of a
        ``rate`` its increase per second at the same time
    :param per_kind: which of these ``per`` is
    :param combine: how samples of one instant with different labels become one value; the largest is looked for after
        each was divided by its own ``per``, a sum is divided by the sum
    """

    name: str
    unit: str
    meaning: str
    kind: Kind
    metric: str
    labels: Labels = field(default_factory=dict)
    per: str | None = None
    per_kind: Kind = Kind.GAUGE
    combine: Combine = Combine.SUM
