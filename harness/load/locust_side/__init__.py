"""What runs inside Locust's processes: virtual users as coroutines on one uvloop in a native thread.

What an incident's ``users.py`` needs is importable from here:

    from harness.load.locust_side import Arrival, MongoUser, PostgresUser, chosen_variant, operation

user.py        PostgresUser and MongoUser: Locust users whose work is done on the loop; named operations
profile.py     what a users.py offers: operations by name, and what each works with
arrival.py     what an operation is given, and may raise
crowd.py       carries the traffic out: open arrivals by schedule, closed users, retries, time limits
alarm.py       wakes it at due times
source.py      what gives an operation its connection: the interface that every database has here
supply.py      makes the sources: a worker's share of the application's connections
pool.py        the application server's connection pool
driver.py      asyncpg behind four functions; psycopg_driver.py psycopg
readers.py     the replicas that take reads, as a driver of one pool, reader_pool.py
mongo.py       MongoDB: the driver's client, and what a request waited for its connections
outcome.py     how an exception is named; mongo_outcome.py those of PyMongo
engine.py      one per process: the loop's thread, and the service on Locust's side that records and reports
master.py      what Locust's master does besides
recorder.py    rows in memory, on disk, and the live figures of Locust's own statistics
timeslice.py   asks the system to run the loop's thread promptly
statistics.py  feeds Locust's statistics in batches
control.py     go, stop and news of replicas from the harness, on standard input

Two threads: Locust's (a gevent hub, which may have patched the standard library) and the loop's. In the loop's thread
nothing that gevent patches is waited on; hand-over is by ``call_soon_threadsafe`` and by plain appends to lists and deques.
"""

from harness.load.locust_side.arrival import Arrival, Declined
from harness.load.locust_side.user import MongoUser, PostgresUser, chosen_variant, operation

__all__ = ["Arrival", "Declined", "MongoUser", "PostgresUser", "chosen_variant", "operation"]
