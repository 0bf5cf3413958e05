"""What the database goes through, measured from outside: enters an endpoint, leave samples and gaps in the run folder.

probe.py       what a probe is, and what it may fail with
probe_set.py   all probes of a server; the final reading
probing.py     a run from before its load to after it: sampling, statements, plans
sampler.py     asks them on an absolute schedule; a missed tick is a gap
connection.py  their own connections, kept and never counted
activity.py    what client connections do, and how long the longest has been at it
blocking.py    who waits for whom; blocktree.py makes trees of it
database.py    the server's own counters
replicas.py    the probes of replicas, also of those that join; replication.py: one replica, and all as the primary knows
               them; primary_log.py: how far the primary is, and a heartbeat
usage.py       CPU and memory of every server; process.py: of child processes, controlgroup.py: of containers;
               core_times.py: what cores did, and what of the servers' cores others used
prometheus_source.py  CPU and memory of servers of one's own, from an exporter that the user names
services.py    how often services were started again, and which are down
harness.py     what the harness itself uses
deadlocks.py   deadlocks and errors from the log; serverlog.py follows it, deadlock_report.py takes a report apart
mongo/         the members of a replica set: own figures, replication, slow operations
statements.py  what each statement cost, after the load minus before; plans.py explains the dearest
sql/           the statements, each with a comment that says what a row means
"""

from harness.probes.probe_set import ProbeSet, all_probes, final_reading

__all__ = ["ProbeSet", "all_probes", "final_reading"]
