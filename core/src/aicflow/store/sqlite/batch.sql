-- The writing connection's one hot statement is an INSERT of many rows into the view `batch`, whose columns are the
-- fields of a row in batch.py. Its triggers do the work inside SQLite, row by row and in order, and call note(i, what)
-- for the few rows that have something to tell.

CREATE TEMP TRIGGER batch_create INSTEAD OF INSERT ON batch WHEN NEW.kind = 1 BEGIN
  INSERT INTO executions (
    id, workflow_id, version, status, created_at, available_at, started_at, last_seq, epoch, worker, due_at, priority,
    admitted, engine, trigger_kind, binding_id, rerun_of, parent_execution_id, parent_node_id,
    parent_call, idempotency_key, limits, trigger, input, started_by
  ) VALUES (
    NEW.id, NEW.workflow_id, NEW.version, NEW.status, NEW.created_at, NEW.available_at, NEW.started_at, NEW.last_seq,
    NEW.epoch, NEW.worker, NEW.due_at, NEW.priority, NEW.admitted, NEW.engine, NEW.trigger_kind, NEW.binding_id,
    NEW.rerun_of, NEW.parent_execution_id, NEW.parent_node_id, NEW.call, NEW.idempotency_key,
    NEW.limits, NEW.trigger, NEW.input, NEW.name
  );
  INSERT INTO events VALUES (NEW.id, NEW.first_seq, NEW.last_seq, NEW.body);
  INSERT INTO idempotency_keys
    SELECT NEW.idempotency_scope, NEW.idempotency_key, NEW.fingerprint, NEW.id, NEW.created_at, NEW.key_owner
    WHERE NEW.idempotency_key IS NOT NULL;
  INSERT INTO fires SELECT NEW.binding_id, NEW.fire_key, NEW.id, NEW.created_at WHERE NEW.fire_key IS NOT NULL;
  INSERT INTO deliveries (id, binding_id, received_at, key, execution_id, payload)
    SELECT NEW.delivery_id, NEW.binding_id, NEW.received_at, NEW.fire_key, NEW.id, NEW.delivered
    WHERE NEW.delivery_id IS NOT NULL;
END;

-- the claim goes on: no indexed column is touched
CREATE TEMP TRIGGER batch_progress INSTEAD OF INSERT ON batch WHEN NEW.kind = 2 BEGIN
  UPDATE executions SET last_seq = NEW.last_seq, started_at = coalesce(NEW.started_at, started_at)
    WHERE id = NEW.id AND epoch = NEW.epoch AND last_seq = NEW.first_seq - 1 AND status = 'running';
  SELECT note(NEW.i, 1) WHERE changes() = 0;
  INSERT INTO events SELECT NEW.id, NEW.first_seq, NEW.last_seq, NEW.body WHERE changes() = 1 AND NEW.body IS NOT NULL;
  SELECT note(NEW.i, 2) FROM executions WHERE id = NEW.id AND cancel_requested;
END;

-- the claim ends: waiting or terminal
CREATE TEMP TRIGGER batch_settle INSTEAD OF INSERT ON batch WHEN NEW.kind = 3 BEGIN
  UPDATE executions SET
      last_seq = NEW.last_seq, status = NEW.status, started_at = coalesce(NEW.started_at, started_at),
      finished_at = NEW.finished_at, output = NEW.output, error = NEW.error, wake_at = NEW.wake_at, announce = NEW.call, worker = NULL,
      due_at = CASE
        WHEN NEW.finished_at IS NOT NULL THEN NULL
        WHEN cancel_requested OR EXISTS (SELECT 1 FROM answers WHERE execution_id = NEW.id) THEN -1
        ELSE NEW.wake_at END
    WHERE id = NEW.id AND epoch = NEW.epoch AND last_seq = NEW.first_seq - 1 AND status = 'running';
  SELECT note(NEW.i, 1) WHERE changes() = 0;
  INSERT INTO events SELECT NEW.id, NEW.first_seq, NEW.last_seq, NEW.body WHERE changes() = 1 AND NEW.body IS NOT NULL;
  SELECT note(NEW.i, 2) FROM executions WHERE id = NEW.id AND cancel_requested;
  DELETE FROM answers WHERE execution_id = NEW.id AND EXISTS (
    SELECT 1 FROM executions WHERE id = NEW.id AND finished_at IS NOT NULL);
  -- sealed values go with the end; a child's sealed output with the end of its parent
  DELETE FROM payloads WHERE execution_id = NEW.id AND name >= '$sealed:' AND name < '$sealed;' AND EXISTS (
    SELECT 1 FROM executions WHERE id = NEW.id AND finished_at IS NOT NULL);
  DELETE FROM payloads WHERE name = '$sealed' AND execution_id IN (
    SELECT id FROM executions WHERE parent_execution_id = NEW.id) AND EXISTS (
    SELECT 1 FROM executions WHERE id = NEW.id AND finished_at IS NOT NULL);
END;

-- the end of a child is the answer that its parent's step waits for; in one transaction, so no crash comes between
CREATE TEMP TRIGGER child_ended AFTER UPDATE OF finished_at ON main.executions
  WHEN NEW.finished_at IS NOT NULL AND NEW.parent_node_id IS NOT NULL BEGIN
  INSERT OR IGNORE INTO answers (execution_id, node_id, call, kind, value)
    SELECT id, NEW.parent_node_id, NEW.parent_call, 'answered', CAST('{"child":"' || NEW.id || '"}' AS BLOB) FROM executions
      WHERE id = NEW.parent_execution_id AND finished_at IS NULL;
  UPDATE executions SET due_at = -1 WHERE id = NEW.parent_execution_id AND status = 'waiting';
END;

-- a fire that a full limit refused: its key is used up
CREATE TEMP TRIGGER batch_skip INSTEAD OF INSERT ON batch WHEN NEW.kind = 7 BEGIN
  INSERT INTO fires SELECT NEW.binding_id, NEW.fire_key, NULL, NEW.created_at WHERE NEW.fire_key IS NOT NULL;
  INSERT INTO deliveries (id, binding_id, received_at, key, error, payload)
    SELECT NEW.delivery_id, NEW.binding_id, NEW.received_at, NEW.fire_key, NEW.error, NEW.delivered
    WHERE NEW.delivery_id IS NOT NULL;
END;

-- what is large of a new execution
CREATE TEMP TRIGGER batch_payload INSTEAD OF INSERT ON batch WHEN NEW.kind = 4 BEGIN
  INSERT OR IGNORE INTO contents SELECT NEW.hash, NEW.body WHERE NEW.hash IS NOT NULL;
  INSERT INTO payloads (execution_id, name, body, hash) VALUES (
    NEW.id, NEW.name, CASE WHEN NEW.hash IS NULL THEN NEW.body ELSE x'' END, NEW.hash);
END;

-- the next three go before their append and hold if it will: an append that is refused keeps and removes nothing
CREATE TEMP TRIGGER batch_output INSTEAD OF INSERT ON batch WHEN NEW.kind = 5 BEGIN
  INSERT OR IGNORE INTO contents SELECT NEW.hash, NEW.body FROM executions
    WHERE id = NEW.id AND epoch = NEW.epoch AND last_seq = NEW.first_seq - 1 AND status = 'running'
      AND NEW.hash IS NOT NULL;
  INSERT INTO payloads (execution_id, name, body, hash)
    SELECT NEW.id, NEW.name, CASE WHEN NEW.hash IS NULL THEN NEW.body ELSE x'' END, NEW.hash FROM executions
      WHERE id = NEW.id AND epoch = NEW.epoch AND last_seq = NEW.first_seq - 1 AND status = 'running'
    ON CONFLICT (execution_id, name) DO UPDATE SET body = excluded.body, hash = excluded.hash;
END;

-- items as a JSON array, so that thousands of them are one row here; without an epoch they are a new execution's
CREATE TEMP TRIGGER batch_items INSTEAD OF INSERT ON batch WHEN NEW.kind = 8 BEGIN
  INSERT OR REPLACE INTO items SELECT NEW.id, a.value ->> 0, a.value ->> 1, a.value ->> 2, a.value ->> 3, a.value ->> 4, a.value ->> 5,
    a.value ->> 6, a.value ->> 7, a.value ->> 8
    FROM json_each(NEW.body) AS a WHERE NEW.epoch IS NULL OR EXISTS (
    SELECT 1 FROM executions WHERE id = NEW.id AND epoch = NEW.epoch AND last_seq = NEW.first_seq - 1
      AND status = 'running');
END;

CREATE TEMP TRIGGER batch_no_items INSTEAD OF INSERT ON batch WHEN NEW.kind = 9 BEGIN
  DELETE FROM items WHERE execution_id = NEW.id AND substr(step_id, 1, length(NEW.name)) = NEW.name AND EXISTS (
    SELECT 1 FROM executions WHERE id = NEW.id AND epoch = NEW.epoch AND last_seq = NEW.first_seq - 1
      AND status = 'running');
END;

-- files that it holds from now on, as a JSON array; without an epoch they are a new execution's
CREATE TEMP TRIGGER batch_hold INSTEAD OF INSERT ON batch WHEN NEW.kind = 11 BEGIN
  INSERT OR IGNORE INTO file_holds SELECT a.value, NEW.id FROM json_each(NEW.body) AS a
    WHERE EXISTS (SELECT 1 FROM files WHERE sha256 = a.value) AND (NEW.epoch IS NULL OR EXISTS (
    SELECT 1 FROM executions WHERE id = NEW.id AND epoch = NEW.epoch AND last_seq = NEW.first_seq - 1
      AND status = 'running'));
END;

CREATE TEMP TRIGGER batch_consume INSTEAD OF INSERT ON batch WHEN NEW.kind = 6 BEGIN
  DELETE FROM answers WHERE execution_id = NEW.id AND node_id = NEW.name AND call = NEW.call AND EXISTS (
    SELECT 1 FROM executions WHERE id = NEW.id AND epoch = NEW.epoch AND last_seq = NEW.first_seq - 1
      AND status = 'running');
END;

-- a wait for an event, or without a name its end. It goes before its append too
CREATE TEMP TRIGGER batch_subscribe INSTEAD OF INSERT ON batch WHEN NEW.kind = 10 AND EXISTS (
  SELECT 1 FROM executions WHERE id = NEW.id AND epoch = NEW.epoch AND last_seq = NEW.first_seq - 1
    AND status = 'running') BEGIN
  DELETE FROM subscriptions WHERE execution_id = NEW.id AND node_id = NEW.name AND call = NEW.call;
  -- what came at the last moment is there for the next wait
  DELETE FROM answers WHERE execution_id = NEW.id AND node_id = NEW.name AND call = NEW.call;
  UPDATE sent_events SET received = received - 1 WHERE n IN (
    SELECT event FROM receipts WHERE execution_id = NEW.id AND node_id = NEW.name AND call = NEW.call);
  DELETE FROM receipts WHERE execution_id = NEW.id AND node_id = NEW.name AND call = NEW.call;
  INSERT INTO subscriptions (execution_id, node_id, call, name, key, since)
    SELECT NEW.id, NEW.name, NEW.call, NEW.event_name, NEW.event_key, NEW.created_at WHERE NEW.event_name IS NOT NULL;
END;

-- an event that came before the wait for it
CREATE TEMP TRIGGER early_event AFTER INSERT ON main.subscriptions WHEN NEW.key IS NOT NULL BEGIN
  INSERT INTO receipts SELECT NEW.execution_id, n, NEW.node_id, NEW.call FROM sent_events
    WHERE name = NEW.name AND key = NEW.key AND expires_at > NEW.since
      AND NOT EXISTS (SELECT 1 FROM receipts WHERE execution_id = NEW.execution_id AND event = n) ORDER BY n LIMIT 1;
END;
CREATE TEMP TRIGGER early_event_any_key AFTER INSERT ON main.subscriptions WHEN NEW.key IS NULL BEGIN
  INSERT INTO receipts SELECT NEW.execution_id, n, NEW.node_id, NEW.call FROM sent_events
    WHERE name = NEW.name AND expires_at > NEW.since
      AND NOT EXISTS (SELECT 1 FROM receipts WHERE execution_id = NEW.execution_id AND event = n) ORDER BY n LIMIT 1;
END;

-- whichever came first, the event or the wait: the answer is made in the same transaction
CREATE TEMP TRIGGER event_received AFTER INSERT ON main.receipts BEGIN
  INSERT OR IGNORE INTO answers (execution_id, node_id, call, kind, value)
    SELECT NEW.execution_id, NEW.node_id, NEW.call, 'answered', body FROM sent_events WHERE n = NEW.event;
  UPDATE sent_events SET received = received + 1 WHERE n = NEW.event;
  UPDATE executions SET due_at = -1 WHERE id = NEW.execution_id AND status = 'waiting';
  DELETE FROM subscriptions
    WHERE execution_id = NEW.execution_id AND node_id = NEW.node_id AND call = NEW.call;
END;

CREATE TEMP TRIGGER waits_ended AFTER UPDATE OF finished_at ON main.executions WHEN NEW.finished_at IS NOT NULL BEGIN
  DELETE FROM subscriptions WHERE execution_id = NEW.id;
  DELETE FROM receipts WHERE execution_id = NEW.id;
END;

-- whom a new execution is about
CREATE TEMP TRIGGER batch_subjects INSTEAD OF INSERT ON batch WHEN NEW.kind = 12 BEGIN
  INSERT OR IGNORE INTO subjects SELECT value, NEW.id FROM json_each(NEW.body);
END;
