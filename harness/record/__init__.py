"""The run folder: what enters is what workers and probes saw; what leaves is tables that SQL can ask.

format.py   names of the files, the format's version and its history; row.py: the layout of a request row
writer.py   append-only writers (rows, JSON lines) that survive a kill -9 up to the last flush
reader.py   a run folder, finished or torn, as DuckDB tables; points.py: a sampled series of it; actions.py: what was done to servers
tail.py     what was added to a growing run folder since the last look
"""
