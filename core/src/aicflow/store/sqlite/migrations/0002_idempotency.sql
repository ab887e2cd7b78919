-- Keys outlive what they made and have an age of their own. `owner` is the execution that a key belongs to, if any.
CREATE TABLE idempotency_keys (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  result TEXT NOT NULL,           -- the id of what was made
  used_at INTEGER NOT NULL,
  owner TEXT,
  PRIMARY KEY (scope, key)
) WITHOUT ROWID;

INSERT INTO idempotency_keys
  SELECT idempotency_scope, idempotency_key, fingerprint, id, created_at,
      CASE idempotency_scope
        WHEN 'child' THEN substr(idempotency_key, 1, instr(idempotency_key, ':') - 1)
        WHEN 'on_failure' THEN idempotency_key END
    FROM executions WHERE idempotency_key IS NOT NULL;
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (used_at) WHERE owner IS NULL;
CREATE INDEX idempotency_keys_by_owner ON idempotency_keys (owner) WHERE owner IS NOT NULL;
DROP INDEX executions_by_idempotency;
ALTER TABLE executions DROP COLUMN idempotency_scope;
ALTER TABLE executions DROP COLUMN fingerprint;

ALTER TABLE fires ADD COLUMN fired_at INTEGER NOT NULL DEFAULT 0;
UPDATE fires SET fired_at = CAST(strftime('%s', 'now') AS INTEGER) * 1000000;
CREATE INDEX fires_by_time ON fires (fired_at);
