-- Lists by any of workflow, kind and status are ranges of one index, which their order follows. A kind was NULL in what
-- the first versions wrote.
UPDATE executions SET trigger_kind = 'api'
  WHERE trigger_kind IS NULL OR trigger_kind NOT IN ('api', 'trigger', 'rerun', 'workflow', 'failure');
DROP INDEX executions_by_status;
DROP INDEX executions_by_kind;
DROP INDEX executions_by_workflow;
CREATE INDEX executions_by_kind ON executions (trigger_kind, status, created_at);
CREATE INDEX executions_by_workflow ON executions (workflow_id, trigger_kind, status, created_at);
