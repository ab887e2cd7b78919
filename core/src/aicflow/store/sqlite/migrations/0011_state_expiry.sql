-- What has expired is found without looking at the rest of a workflow's state.
CREATE INDEX state_expiry ON state (workflow_id, expires_at) WHERE expires_at IS NOT NULL;
