"""The figures that we promise, measured: ``make bench``, or ``python -m tests.bench [--only NAME]… [--quick] [--long]``.

A speed in a document says nothing of another machine, so every comparison is a *ratio of two sides measured in the same
run*, in turn (A B B A …), and what stands in the table is the median of the pairs' ratios with the smallest and largest.
A figure that does not reach what is promised is a result and not an error: the exit code is 1 only where a measurement
itself failed. Everything is written to ``reports/bench/<UTC time>.json`` too, with both sides of each pair.

*Ours* is always ``harness.run`` as ``flashcrowd run`` uses it: Locust's master and worker, probes once a second, rows on
disk; its numbers are computed from those rows, not from Locust's statistics. One server has a core to itself, everything
else shares the others, and peers are held to the very cores that our workers are held to. The server is set up so that
only the clients differ from side to side (:mod:`tests.bench.server`).

closed-select        20 clients select a row by its key, one connection each, and do not think. Requests finished per
                     second in the steady middle of our run ÷ pgbench's own tps (``-S -M prepared -j 1``), and ÷ the middle
                     seconds of Locust's own statistics for its ``locust.contrib.postgres`` user.
closed-transaction   The same with pgbench's TPC-B-like transaction of five statements, drawn from the same ranges. Each
                     side begins with freshly seeded tables that are in memory.
open-2000, -5000     Poisson arrivals at that rate, one worker, 64 connections. *Schedule lag* is the time from when an
                     arrival was due to when its statement can be sent: for pgbench the column of its log, for ours until
                     the request got its connection, its wait for one included. p99 of the steady middle, ours ÷ pgbench's.
                     *Begun before due*: runs in which any request started before its time. *Achieved ÷ target*: requests
                     that finished in the middle ÷ those that were due in it.
workers              Our closed select with two workers ÷ one, on machines with a core for each.
stopped-server       The whole server is stopped (SIGSTOP) for 5 s at 500 arrivals a second. The p99 and the maximum that
                     the report shows, against those that follow from the schedule and the moments of stop and resumption
                     alone (:mod:`tests.bench.prediction`): how far off, as a share.
percentiles          How many of our percentiles, of every part of a request's time, are not the very number that NumPy
                     computes from the raw rows.
probes               Our closed select with everything recorded ÷ the workers alone, without probes and progress.
disk                 Bytes per request of the files that workers append to, and of the Parquet file made of them.
deadlocks            The crafting burst before its fix, shortened, another seed each run: runs in which clients, the
                     server's log and its counter have not counted the same deadlocks. A bench without a deadlock fails.
stack                The crafting burst's server with its whole dataset, and a replica set of three with all players: from
                     nothing to taking connections, the dataset being cached, and back to the seeded state. No ratios but
                     seconds.
containers           Where a Docker engine answers, with the images that ``flashcrowd images build`` makes: seconds from
                     nothing to the first answer of a PostgreSQL alone, to a replica set of three whose members have their
                     states, to the crafting burst's stack with its whole dataset, and until one more replica takes reads;
                     of one tick of the probe of CPU and memory over six containers; and, a ratio, a SELECT 1 at the
                     address that the load gets ÷ at the container's own.
report               report.html of at least a million requests and 600 s of samples: seconds to read the runs and write
                     it, and its size.
memory               With ``--long``: resident memory of harness and worker at the end of ten minutes at 1,000 arrivals a
                     second ÷ at one minute.

``--quick`` measures one round of 2 s a side: it proves that every figure can be computed, its numbers mean little.

__main__.py     options; brings the servers up, measures, shows, writes
figures/        one file a figure or two; the list of them in its __init__.py
bed.py          what a figure is measured on: server, folder, and our own side
peers/          pgbench, and Locust with its own user
incidents/      the traffic, as any incident declares it; dataset/ and server.py belong to them
rounds.py       sides in turn
recorded.py     throughput from raw rows
prediction.py   response times that follow from a schedule alone
row.py          a line of the table; table.py shows and writes them
"""
