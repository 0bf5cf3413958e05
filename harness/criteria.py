"""One language for symptoms, thresholds and gates: from text to :class:`Criterion`.

    p99(craft) < 250ms                      statistic of the response time; also min, max, mean, p50 … p99.99
    p99(craft.service) < 50ms               another part of a request's time; all: p99(*) or p99(all)
    errors(craft) < 1%                      share that did not end ok; errors(craft, 40P01), errors(save, DuplicateKey): that
                                            ended so
    rate(craft) >= 40/s                     finished ok per second
    count(craft, 53300) == 0                how many
    max(postgres.connections_used) >= 80%   statistic of a sampled series; also min, mean, last, pNN
    postgres.cpu >= 95% for 10s             true at every sample of a stretch at least that long
    deadlocks == 0                          increase of a counter over the run
    … during burst                          only what happened in that phase

Series are those of :mod:`harness.series`; everything is checked here, before anything starts. What a run says of a criterion
is told by :mod:`harness.evaluation`, which load workers, who read criteria but hold no run against them, need not import.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NoReturn

from harness.errors import DefinitionError
from harness.model import Comparator, Criterion, Outcome
from harness.series import BY_NAME, REQUEST_COUNTS, REQUEST_PARTS, Kind, unit_of
from harness.units import parse_duration, parse_quantity

ALL_OPERATIONS = ("*", "all")

_CRITERION = re.compile(
    r"""\s*(?: (?P<call>[A-Za-z][\w.]*) \s* \( (?P<arguments>[^()]*) \) | (?P<series>[A-Za-z_][\w.]*) )
    \s* (?P<comparator><=|>=|==|!=|<|>) \s* (?P<limit>[^\s<>=!].*?)
    (?: \s+ for \s+ (?P<for>\S.*?) )?
    (?: \s+ during \s+ (?P<during>\S.*?) )? \s*""",
    re.VERBOSE,
)
_SHAPE = (
    "a criterion such as p99(craft) < 250ms, errors(craft) < 1%, max(pool.waiting) > 10 or postgres.cpu >= 95% for 10s"
)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")
#: MongoDB's names of its codes, such as DuplicateKey; ours are in lower case.
_MONGO_NAME = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")
_OUTCOMES = tuple(value for key, value in vars(Outcome).items() if key.isupper() and isinstance(value, str))
_PLAIN_STATISTICS = ("min", "max", "mean")
_HOW_TO_WRITE = {
    "s": "say ms or s, as in 250ms",
    "ratio": "say %, as in 95%",
    "1/s": "say /s, as in 40/s",
    "B": "say MB or GiB, as in 512MB",
    "B/s": "say MB/s, as in 20MB/s",
    "": "write a bare number, as in 5",
}


def parse(text: str, *, operations: Collection[str], phases: Collection[str], where: str, field: str) -> Criterion:
    """A criterion from its text.

    :param operations: operations that the traffic has
    :param phases: names of the traffic's phases
    :param where: file that holds the text, for errors
    :param field: path of the text inside it, for errors
    :raises DefinitionError: not in the language, or it names what there is not; the error says what would be right

    >>> names = {"operations": ["craft"], "phases": ["burst"], "where": "incident.py", "field": "thresholds[0].criterion"}
    >>> got = parse("p99(craft.service) < 250ms during burst", **names)
    >>> got.statistic, got.series, got.operation, got.comparator.value, got.limit, got.phase
    ('p99', 'service', 'craft', '<', 0.25, 'burst')
    >>> got = parse("postgres.cpu >= 95% for 10s", **names)
    >>> got.series, got.limit, got.for_s, got.statistic
    ('postgres.cpu', 0.95, 10.0, None)
    >>> parse("errors(all, 40P01) < 1%", **names).outcome
    '40P01'
    >>> parse("p99(craft) < 250", **names)
    Traceback (most recent call last):
    harness.errors.DefinitionError: incident.py: thresholds[0].criterion = 'p99(craft) < 250': a limit in s: say ms or s, as in 250ms
    """
    return _Parser(text, tuple(operations), tuple(phases), where, field).criterion()


def is_percentile(statistic: str) -> bool:
    """Whether it is written as a percentile above 0 and below 100.

    >>> is_percentile("p99.9"), is_percentile("p0"), is_percentile("p100"), is_percentile("max")
    (True, False, False, False)
    """
    match = _PERCENTILE.fullmatch(statistic)
    return match is not None and float(match[1]) > 0


def _is_outcome(name: str) -> bool:
    servers = _SQLSTATE.fullmatch(name) or _MONGO_NAME.fullmatch(name)
    return servers is not None or name in _OUTCOMES or name.startswith("error:")


@dataclass(frozen=True, slots=True)
class _Parser:
    """One text, and what it may refer to."""

    text: str
    operations: tuple[str, ...]
    phases: tuple[str, ...]
    where: str
    field: str

    def criterion(self) -> Criterion:
        match = _CRITERION.fullmatch(self.text) if isinstance(self.text, str) else None
        if match is None:
            self._refuse(f"is not {_SHAPE}")
        if match["call"] is not None:
            found = self._call(match["call"], match["arguments"])
        else:
            found = self._bare(match["series"], has_for=match["for"] is not None)
        for_s = self._for(found, match["for"]) if match["for"] is not None else None
        if match["during"] is not None and match["during"] not in self.phases:
            self._refuse(self._unknown("phase", match["during"], self.phases))
        return Criterion(
            text=self.text.strip(),
            series=found.series,
            comparator=Comparator(match["comparator"]),
            limit=self._limit(match["limit"], unit_of(found.series)),
            operation=found.operation,
            statistic=found.statistic,
            for_s=for_s,
            phase=match["during"],
            outcome=found.outcome,
        )

    def _call(self, name: str, arguments: str) -> _Subject:
        """``name(arguments)``: a statistic or a count."""
        parts = [part.strip() for part in arguments.split(",")]
        if not all(parts) or len(parts) > 2:
            self._refuse(f"{name}(…) wants an operation or a series, and for errors and count perhaps an outcome")
        subject, outcome = parts[0], parts[1] if len(parts) == 2 else None
        if name in REQUEST_COUNTS:
            if outcome is not None and name == "rate":
                self._refuse("rate counts what finished ok; count(operation, outcome) counts one outcome")
            if subject in BY_NAME:
                self._refuse(
                    f"{name}(…) is of requests; {subject} is sampled: write max({subject}) or {subject} … for 10s"
                )
            if outcome is not None and not _is_outcome(outcome):
                self._refuse(
                    self._unknown(
                        "outcome",
                        outcome,
                        ("an SQLSTATE such as 40P01", "a name of MongoDB's such as DuplicateKey", *_OUTCOMES),
                    )
                )
            return _Subject(series=name, operation=self._operation(subject), outcome=outcome)
        if name not in (*_PLAIN_STATISTICS, "last") and not is_percentile(name):
            known = (*_PLAIN_STATISTICS, "last", "p50", "p90", "p95", "p99", "p99.9", *REQUEST_COUNTS)
            self._refuse(self._unknown("statistic", name, known))
        if outcome is not None:
            self._refuse(f"{name} is of all outcomes alike; only errors and count take one")
        if subject in BY_NAME:
            if BY_NAME[subject].kind is Kind.TOTAL:
                self._refuse(f"{subject} is one number for the run; write {subject} == 0")
            return _Subject(series=subject, statistic=name)
        operation, part = self._part(subject)
        if name == "last":
            self._refuse("last is of sampled series; of requests there are min, max, mean and percentiles")
        return _Subject(series=part, operation=operation, statistic=name)

    def _bare(self, name: str, *, has_for: bool) -> _Subject:
        """A series without a statistic."""
        if name not in BY_NAME:
            if name in self.operations:
                self._refuse(f"{name} is an operation: say what of it, as in p99({name}) or errors({name})")
            self._refuse(self._unknown("series", name, BY_NAME))
        total = BY_NAME[name].kind is Kind.TOTAL
        if not total and not has_for:
            self._refuse(
                f"{name} has a value at every sample: say for how long it must be so ({name} … for 10s), "
                f"or take one statistic of it (max({name}) …)"
            )
        return _Subject(series=name)

    def _operation(self, name: str) -> str | None:
        if name in ALL_OPERATIONS:
            return None
        if name not in self.operations:
            self._refuse(self._unknown("operation", name, (*self.operations, "all")))
        return name

    def _part(self, subject: str) -> tuple[str | None, str]:
        """Operation and part of ``craft``, ``craft.service`` or ``*.lag``."""
        name, dot, part = subject.rpartition(".")
        if not dot:
            name, part = subject, "response"
        if name not in (*ALL_OPERATIONS, *self.operations):
            self._refuse(self._unknown("operation or series", subject, (*self.operations, "all", *BY_NAME)))
        if part not in REQUEST_PARTS:
            self._refuse(self._unknown("part of a request's time", part, REQUEST_PARTS))
        return self._operation(name), part

    def _for(self, found: _Subject, text: str) -> float:
        if found.statistic is not None:
            self._refuse(f"{found.statistic}(…) is one value already: leave out either the statistic or `for`")
        if found.series in REQUEST_COUNTS or BY_NAME[found.series].kind is Kind.TOTAL:
            self._refuse(
                f"{found.series} is one number for the run: `for` is for sampled series; restrict it with `during`"
            )
        try:
            for_s = parse_duration(text)
        except ValueError as error:
            self._refuse(f"for {text}: {error}")
        if for_s <= 0:
            self._refuse(f"for {text}: a stretch has a length above 0")
        return for_s

    def _limit(self, text: str, unit: str) -> float:
        # A number per second of bytes is written as bytes with /s, which units.py has no name for.
        per_second = unit == "B/s" and text.endswith("/s")
        try:
            value, own = parse_quantity(text.removesuffix("/s") if per_second else text)
        except ValueError as error:
            self._refuse(f"the limit {error}")
        own = own + "/s" if per_second else own
        # 0 is the same in percent, and errors(craft) == 0 reads well.
        if own != unit and not (unit == "ratio" and own == "" and value == 0):
            self._refuse(f"a limit {f'in {unit}' if unit else 'without a unit'}: {_HOW_TO_WRITE[unit]}")
        return value

    def _unknown(self, what: str, name: str, known: Iterable[str]) -> str:
        known = list(known)
        near = difflib.get_close_matches(name, known, n=3)
        if near:
            return f"unknown {what} {name!r}; did you mean {' or '.join(near)}?"
        return f"unknown {what} {name!r}; there are {', '.join(known) or 'none'}"

    def _refuse(self, expected: str) -> NoReturn:
        raise DefinitionError(where=self.where, field=self.field, value=self.text, expected=expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What a criterion is about."""

    series: str
    operation: str | None = None
    statistic: str | None = None
    outcome: str | None = None
