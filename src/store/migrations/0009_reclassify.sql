-- Events that today's rules judged anew.

PRAGMA user_version = 9;

ALTER TABLE events ADD COLUMN reclassified_at TEXT; -- the last time; NULL: never
ALTER TABLE events ADD COLUMN formerly TEXT;        -- JSON object: the conclusion before that, without its evidence, which may name a person
