-- The chain of audit entries. What is filtered by is read from the bodies, which are hashed, so that it cannot differ.
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,             -- SHA-256 of the hash before it and the body
  body TEXT NOT NULL,
  personal TEXT                   -- a JSON object of what the body holds as keyed hashes
);
CREATE INDEX audit_by_actor ON audit (body ->> '$.actor', seq);
CREATE INDEX audit_by_action ON audit (body ->> '$.action', seq);
CREATE INDEX audit_by_time ON audit (body ->> '$.at');
