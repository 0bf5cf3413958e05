-- A row: I/O of one type of backend on one kind of object in one context, whole server (PostgreSQL 16 and later). What has
-- counted nothing is left out: most of the eighty combinations never do.
SELECT * FROM pg_stat_io
WHERE coalesce(reads, 0) + coalesce(writes, 0) + coalesce(extends, 0) + coalesce(hits, 0) + coalesce(fsyncs, 0) > 0
