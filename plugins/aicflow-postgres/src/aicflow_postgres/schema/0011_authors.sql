-- Who saved a version of a workflow.
ALTER TABLE workflow_versions ADD COLUMN created_by text COLLATE "C";
