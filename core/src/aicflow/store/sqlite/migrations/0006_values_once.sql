-- Large values are kept once, by their SHA-256, however many executions and steps have them: a payload then has a hash
-- and an empty body. The last payload that goes takes its value along, in the same transaction, whatever removes it.
CREATE TABLE contents (hash BLOB PRIMARY KEY, body BLOB NOT NULL);
ALTER TABLE payloads ADD COLUMN hash BLOB;
CREATE INDEX payloads_by_hash ON payloads (hash) WHERE hash IS NOT NULL;
CREATE VIEW stored AS
  SELECT execution_id, name, coalesce((SELECT c.body FROM contents AS c WHERE c.hash = p.hash), p.body) AS body
    FROM payloads AS p;
CREATE TRIGGER payload_removed AFTER DELETE ON payloads WHEN OLD.hash IS NOT NULL BEGIN
  DELETE FROM contents WHERE hash = OLD.hash AND NOT EXISTS (SELECT 1 FROM payloads WHERE hash = OLD.hash);
END;
CREATE TRIGGER payload_changed AFTER UPDATE OF hash ON payloads WHEN OLD.hash IS NOT NULL AND OLD.hash IS NOT NEW.hash BEGIN
  DELETE FROM contents WHERE hash = OLD.hash AND NOT EXISTS (SELECT 1 FROM payloads WHERE hash = OLD.hash);
END;
