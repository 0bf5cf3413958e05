-- The row: how often entries had to be thrown out for want of room, when the statistics were last reset, and whether the server
-- times its I/O.
SELECT dealloc, stats_reset, current_setting('track_io_timing')::boolean AS times_io FROM pg_stat_statements_info
