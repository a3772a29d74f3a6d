-- What is told and what is counted by the day is decided in the ledger, and written as it is.

PRAGMA user_version = 11;

DROP TRIGGER outbox_bounce;
DROP TRIGGER outbox_suppression;
DROP TRIGGER outbox_hold;
DROP TRIGGER events_are_counted;
DROP TRIGGER events_are_counted_anew;

-- An event tells the same on every try, whatever was pruned meanwhile.
UPDATE outbox SET data = (SELECT data FROM outbox_events WHERE outbox_events.id = outbox.id) WHERE data IS NULL;
DROP VIEW outbox_events;
ALTER TABLE outbox DROP COLUMN audit;
