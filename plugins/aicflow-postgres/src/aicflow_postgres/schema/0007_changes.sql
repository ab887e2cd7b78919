-- A number that grows when something is saved that every host follows: one that has it need not look at the rest.
CREATE TABLE changes (n bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO changes VALUES (1);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    UPDATE changes SET n = n + 1;
    RETURN NULL;
  END
$$;
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflows
  FOR EACH STATEMENT EXECUTE FUNCTION note_change();
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON node_settings
  FOR EACH STATEMENT EXECUTE FUNCTION note_change();
CREATE TRIGGER note_pause AFTER INSERT ON triggers
  FOR EACH ROW WHEN (NEW.paused) EXECUTE FUNCTION note_change();
CREATE TRIGGER note_change AFTER UPDATE OF paused ON triggers
  FOR EACH ROW WHEN (OLD.paused IS DISTINCT FROM NEW.paused) EXECUTE FUNCTION note_change();
CREATE TRIGGER note_removal AFTER DELETE OR TRUNCATE ON triggers
  FOR EACH STATEMENT EXECUTE FUNCTION note_change();
