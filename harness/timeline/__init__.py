"""The timeline of a run: what is done to the servers while the traffic goes on, and how it is put back.

What enters are the steps that an incident declares (:mod:`harness.model.timeline`) and a running stack; what leaves are events
of kind ``action`` and servers as they were.

conductor.py   waits for each step's time or condition, carries it out, undoes it; all that is left at the end, in reverse
performer.py   what an action is made of: whether it can be done here, doing it, undoing it
performers.py  which class carries out which action
servers.py     a server by its name or role; actions on servers' handles
sql.py, members.py   sessions on PostgreSQL and on members of a replica set
condition.py   a criterion held against what was sampled so far; live.py, the samples so far as a run's tables
warden.py      a small process that ends a program with all that it started when the harness is gone

One file an action: add_replica, pause, stop, kill, cut_off, set_cpus, create_index, drop_index, create_mongo_index,
drop_mongo_index, run_sql, run_command, run_program, flush_cache, failpoint.
"""
