-- The row: write-ahead log written by the whole server since its statistics were last reset.
SELECT * FROM pg_stat_wal
