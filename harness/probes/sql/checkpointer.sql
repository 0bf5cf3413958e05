-- The row: checkpoints of the whole server since its statistics were last reset (PostgreSQL 17 and later).
SELECT * FROM pg_stat_checkpointer
