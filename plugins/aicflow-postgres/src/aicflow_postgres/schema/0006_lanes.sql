-- Lanes of the queue that forget their past: what is to go on at once has an instant too, a negative one that grows, so
-- that each lane but that of limits can be read from a floor on.
DROP INDEX executions_special;
DROP INDEX executions_again;
DROP INDEX executions_due;
DROP INDEX executions_queued_due;
CREATE INDEX executions_special ON executions (priority DESC, n, due_at)
  WHERE status = 'queued' AND due_at >= 0 AND limits IS NULL AND (priority <> 0 OR available_at > created_at);
CREATE INDEX executions_special_due ON executions (due_at)
  WHERE status = 'queued' AND due_at >= 0 AND limits IS NULL AND (priority <> 0 OR available_at > created_at);
CREATE INDEX executions_admitted ON executions (priority DESC, n)
  WHERE status = 'queued' AND due_at >= 0 AND limits IS NOT NULL;
CREATE INDEX executions_at_once ON executions (due_at, n) WHERE due_at < 0;
CREATE INDEX executions_waits ON executions (due_at, n) WHERE status = 'waiting' AND due_at >= 0;
CREATE INDEX executions_leases ON executions (due_at, n) WHERE status = 'running';
