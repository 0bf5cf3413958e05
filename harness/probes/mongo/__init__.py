"""What a MongoDB replica set goes through: every member is asked directly, over a connection of its own.

connection.py   a member as the probes reach it, never counted among the application's
probes.py       all of them, connected
member.py       connections, operations, queues, tickets, flow control, index builds of one member
replication.py  members' states, and how far each is behind: by wall time, and by the heartbeat of heart.py
asking.py       asks all members at once, and waits for none that was silent
slowlog.py      slow operations, from the members' logs
exporter.py     names as mongodb_exporter makes them
"""

from harness.probes.mongo.probes import MongoProbes, mongo_probes

__all__ = ["MongoProbes", "mongo_probes"]
