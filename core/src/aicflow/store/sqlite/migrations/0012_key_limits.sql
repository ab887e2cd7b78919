-- Keys that are limited to workflows and addresses ([ids, labels, networks]), the key before a rotation, and tickets.
ALTER TABLE api_keys ADD COLUMN previous_hash TEXT;
ALTER TABLE api_keys ADD COLUMN previous_expires_at INTEGER;
ALTER TABLE api_keys ADD COLUMN limits TEXT NOT NULL DEFAULT '[[],{},[]]';
CREATE UNIQUE INDEX api_keys_previous ON api_keys (previous_hash) WHERE previous_hash IS NOT NULL;
CREATE TABLE tickets (hash TEXT PRIMARY KEY, owner TEXT NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX tickets_expiry ON tickets (expires_at);
