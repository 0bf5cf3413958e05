"""Declared: what happened, the ways the system can be, and what must be seen of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.system import Application, Dataset, Topology
from harness.model.timeline import Step
from harness.model.traffic import Traffic


class Comparator(StrEnum):
    """How a value is held against its limit."""

    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    EQ = "=="
    NE = "!="


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A statement about a run that can be true, false or unknown; parsed from text by :mod:`harness.criteria`.

    :param text: as written
    :param series: a name from :mod:`harness.series`: a sampled series, a part of a request's time, ``errors``, ``rate`` or ``count``
    :param operation: the operation that a request series is restricted to; None is all of them
    :param statistic: ``p99``, ``max``, ``mean``, … ; None where the series is one number, or where ``for_s`` is given
    :param limit: in the series' base unit
    :param for_s: the comparison must hold at every sample of a stretch at least this long
    :param phase: only what happened within this phase counts
    :param outcome: the one outcome that ``errors`` and ``count`` are restricted to; None is any (for ``errors``: any but ok)
    """

    text: str
    series: str
    comparator: Comparator
    limit: float
    operation: str | None = None
    statistic: str | None = None
    for_s: float | None = None
    phase: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """Something that was seen in the incident: must hold in ``before`` and must not in ``after``.

    :param said: what the post-mortem said of it, in a few words
    """

    name: str
    criterion: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Something that a variant which claims to be fixed must satisfy."""

    name: str
    criterion: str


class Expect(StrEnum):
    """What a variant is expected to show."""

    SYMPTOMS = "symptoms"  # the system as it was: every symptom
    FIXED = "fixed"  # the system with the fix: no symptom, every threshold
    NOTHING = "nothing"  # shown, not judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way the system can be.

    :param name: also the module under the incident's ``variants`` package that holds its operations
    :param by_default: whether ``run`` takes it when no variant is named
    :param timeline: what is done during its run in place of the incident's timeline; None: the incident's
    """

    name: str
    story: str
    expect: Expect
    by_default: bool = True
    timeline: tuple[Step, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an incident was told in public."""

    title: str
    date: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What happened, declared.

    :param timeline: what is done to the servers during a run of any variant that declares none itself
    :param drain_s: after the last arrival, how long requests in flight may still finish before they are cut off
    """

    name: str
    title: str
    story: str
    source: Source
    topology: Topology
    dataset: Dataset
    application: Application
    traffic: Traffic
    variants: tuple[Variant, ...]
    symptoms: tuple[Symptom, ...]
    thresholds: tuple[Threshold, ...] = ()
    drain_s: float = 10.0
    timeline: tuple[Step, ...] = ()

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        :raises KeyError: there is none
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)

    def steps(self, name: str) -> tuple[Step, ...]:
        """What is done to the servers during a run of the variant of that name.

        :raises KeyError: there is none
        """
        own = self.variant(name).timeline
        return self.timeline if own is None else own
