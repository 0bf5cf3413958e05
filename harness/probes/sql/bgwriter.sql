-- The row: what the background writer did (up to PostgreSQL 16 also the checkpointer) since the statistics were last reset.
SELECT * FROM pg_stat_bgwriter
