-- Executions that have ended and whose end other workflows wait for: set with the end, until these were started.
ALTER TABLE executions ADD COLUMN announce INTEGER;
CREATE INDEX executions_announced ON executions (finished_at, id) WHERE announce;
