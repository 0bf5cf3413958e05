"""The load: what enters is an incident's traffic and a DSN, what leaves are request rows in the run folder.

arrivals.py    when each request is due and which operation it is, computed from the seed alone
plan.py        what a worker is told: incident, variant, share, folder
processes.py   starts Locust's master and workers, says go and stop, notices who died; child.py: what each of them runs
precedence.py  lets workers go first on the load's cores, where the system allows it
locust_side/   what runs inside Locust's processes; the only code of the harness that imports locust
"""
