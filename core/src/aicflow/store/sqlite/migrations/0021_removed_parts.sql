-- What retention has removed of an execution: 1 its events, 2 its payloads, 3 both.
ALTER TABLE executions ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
