"""Holds a criterion against a run: from raw requests and samples to a :class:`Finding`.

Percentiles are exact and of the nearest rank, over raw nanoseconds: the smallest value *v* such that at least *p·n* of the
*n* values are ≤ *v* (numpy's ``inverted_cdf``, but with an exact *p*: ``np.percentile`` rounds 99.9 / 100 up). Requests
count whatever their outcome, failed ones too. One that was cut off counts at the time that it had already taken, and one
that never got a connection counts so for ``pool_wait``: lower bounds both. Where it depends on such a bound whether the
comparison holds, the finding is unknown.

Requests belong to the phase in which they were *meant* to begin; samples to the one in which they were taken. Without
``during``, requests are all of the run's, samples those from the origin to the end of the traffic or of the last request.
"""

from __future__ import annotations

from harness.evaluation.requests import count_finding, time_finding
from harness.evaluation.samples import statistic_finding, stretch_finding, total_finding
from harness.model import Criterion, Finding
from harness.record.reader import Run
from harness.series import BY_NAME, REQUEST_COUNTS, REQUEST_PARTS, Kind


def evaluate(run: Run, criterion: Criterion, name: str) -> Finding:
    """What a run says of a criterion.

    ``worst`` is the largest single value, for a symptom (``p99(craft) >= 2s``) as for a threshold (``p99(craft) < 500ms``): times,
    shares and queues are worse the larger they are. It is the smallest where the criterion speaks of a minimum, or of a
    stretch below a limit. ``count`` and ``first_s`` are of the requests (by their end) or
    samples that satisfy the comparison one by one; of ``errors`` and ``count``, of the requests that were counted.

    :param name: of the symptom or threshold
    """
    if criterion.series in REQUEST_PARTS:
        return time_finding(run, criterion, name)
    if criterion.series in REQUEST_COUNTS:
        return count_finding(run, criterion, name)
    if BY_NAME[criterion.series].kind is Kind.TOTAL:
        return total_finding(run, criterion, name)
    if criterion.for_s is not None:
        return stretch_finding(run, criterion, name)
    return statistic_finding(run, criterion, name)
