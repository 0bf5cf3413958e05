-- The row: what receives the log on a replica, and when it last heard of the primary; none where nothing receives. Its
-- columns are null for a role that is not shown them.
SELECT status, extract(epoch FROM last_msg_receipt_time)::float8 AS last_msg_receipt_time FROM pg_stat_wal_receiver
