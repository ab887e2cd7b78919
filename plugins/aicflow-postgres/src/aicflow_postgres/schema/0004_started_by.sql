-- whose request started an execution, and how many of each are queued and were never claimed

ALTER TABLE executions ADD COLUMN started_by text COLLATE "C";
CREATE INDEX executions_queued_by ON executions (started_by)
  WHERE status = 'queued' AND epoch = 0 AND started_by IS NOT NULL;
