-- The labels of a workflow's current version, as a JSON object, to filter workflows and their executions by.
ALTER TABLE workflows ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
