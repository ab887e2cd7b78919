-- Where the events of an item's steps stand.
ALTER TABLE items ADD COLUMN first_seq INTEGER;
ALTER TABLE items ADD COLUMN last_seq INTEGER;
