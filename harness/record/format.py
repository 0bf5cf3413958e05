"""What stands in a run folder, byte by byte.

    run.json                 identity, versions, seed, machine, origin, plan; written first
    requests-<w>.rows        worker w's requests, 40 bytes each (row.py), appended about twice a second
    requests-<w>.jsonl       names of worker w's operation and outcome codes, each written before the first row that uses it
    requests.parquet         all workers' rows; made by the first reader after the run ended, the .rows are then removed
    samples*.jsonl           one line a tick and probe: {"at_s": s, "probe": name, "took_s": s, "samples": [[metric, labels, value], …]};
                             a sample that was measured at another time than the tick's has that as a fourth
    samples.parquet          the same, flat; made together with requests.parquet, the .jsonl are then removed
    events*.jsonl            one line an event: {"at_s": s, "kind": …, "text": …, "fields": {…}}
    offered.json             arrivals scheduled, per operation and second of traffic
    failures-<w>.jsonl       what drivers said: the first few failures of each kind, and every deadlock (with its DETAIL)
    deadlocks.jsonl          deadlock reports of the server's log, both statements and the lock graph
    blocking.jsonl           trees of who blocks whom, as sampled
    slow_operations.jsonl    the slowest operations of the MongoDB members' logs
    statements.parquet       pg_stat_statements, difference after - before
    plans/*.json             EXPLAIN of the top statements
    invariants.json          what checking the dataset gave
    logs/                    server log, workers' output
    finished.json            written last: how the run ended. Missing: the harness was killed
    verdict.json             this run's part of the verdict

Times are seconds since the run's origin (rows: nanoseconds); the origin's wall-clock time is in run.json.

Format history:
  1  first
"""

from __future__ import annotations

VERSION = 1

RUN = "run.json"
EXPERIMENT = "experiment.json"  # in the folder of an experiment, beside its run folders
FINISHED = "finished.json"
OFFERED = "offered.json"
REQUESTS = "requests.parquet"
SAMPLES = "samples.parquet"
STATEMENTS = "statements.parquet"
DEADLOCKS = "deadlocks.jsonl"
BLOCKING = "blocking.jsonl"
SLOW_OPERATIONS = "slow_operations.jsonl"
INVARIANTS = "invariants.json"
VERDICT = "verdict.json"
PLANS = "plans"
LOGS = "logs"

#: A request's id, as operations store it and datasets are checked for it: arrival << ATTEMPT_BITS | attempt.
ATTEMPT_BITS = 4
MOST_ATTEMPTS = 2**ATTEMPT_BITS - 1
NOT_REACHED = -(2**63)
MAX_CODES = 256
