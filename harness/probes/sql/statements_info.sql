-- The row: how often entries had to be thrown out for want of room, and when the statistics were last reset.
SELECT dealloc, stats_reset FROM pg_stat_statements_info
