-- Quarantine, holds, streams and the history of the list.

PRAGMA user_version = 2;

-- When suppressions for one key jump far beyond what is usual, further ones wait here for a person.
CREATE TABLE holds (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL, -- domain, remote_mta, rule
    name       TEXT    NOT NULL,
    opened_at  TEXT    NOT NULL,
    why        TEXT    NOT NULL, -- the numbers, in words
    recheckable INTEGER NOT NULL, -- 1: only suppressions that may end by themselves wait
    held       INTEGER NOT NULL DEFAULT 0, -- how many events it has held
    state      TEXT    NOT NULL DEFAULT 'open', -- open, released, discarded
    settled_at TEXT,
    settled_by TEXT
) STRICT;
CREATE UNIQUE INDEX holds_open ON holds (kind, name) WHERE state = 'open';

-- How many suppressions a key led to; a row for every five minutes that had any.
CREATE TABLE suppression_rates (
    kind  TEXT    NOT NULL, -- domain, remote_mta, rule
    name  TEXT    NOT NULL,
    slot  INTEGER NOT NULL, -- five minutes, counted from 1970-01-01
    count INTEGER NOT NULL,
    recheckable INTEGER NOT NULL, -- how many of them may end by themselves
    PRIMARY KEY (kind, name, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX suppression_rates_slot ON suppression_rates (slot);

-- change knows besides: held, discarded.
ALTER TABLE events ADD COLUMN domain TEXT NOT NULL DEFAULT ''; -- of recipient_key
ALTER TABLE events ADD COLUMN hold INTEGER REFERENCES holds (id); -- what it waits or waited for
ALTER TABLE events ADD COLUMN repeats INTEGER REFERENCES messages (id); -- where the same report stands that counts
ALTER TABLE events ADD COLUMN settled_at TEXT;                 -- approved, released or discarded
ALTER TABLE events ADD COLUMN settled_by TEXT;
UPDATE events SET domain = replace(recipient_key, rtrim(recipient_key, replace(recipient_key, '@', '')), '')
    WHERE recipient_key LIKE '%@%';
CREATE INDEX events_waiting ON events (id) WHERE change = 'quarantined';
CREATE INDEX events_waiting_address ON events (recipient_key, received_at, id) WHERE change = 'quarantined';
CREATE INDEX events_hold ON events (hold) WHERE hold IS NOT NULL;
CREATE INDEX events_held ON events (hold, received_at, id) WHERE change = 'held'; -- the next to be released
CREATE INDEX events_trust ON events (trust, message);
CREATE INDEX events_class ON events (class, message);

ALTER TABLE suppressions ADD COLUMN domain TEXT NOT NULL DEFAULT ''; -- of address_key
ALTER TABLE suppressions ADD COLUMN remote_mta TEXT;                 -- the host whose words made the entry
ALTER TABLE suppressions ADD COLUMN ended INTEGER NOT NULL DEFAULT 0; -- its time is over, and audit says so
UPDATE suppressions SET domain = replace(address_key, rtrim(address_key, replace(address_key, '@', '')), '')
    WHERE address_key LIKE '%@%';
ALTER TABLE suppressions ADD COLUMN changed_at TEXT NOT NULL DEFAULT ''; -- made or changed; being seen is neither
UPDATE suppressions SET
    remote_mta = (SELECT nullif(lower(rtrim(substr(remote_mta, 1, instr(remote_mta || ' ', ' ') - 1), '.')), '')
                  FROM events WHERE events.id = suppressions.event),
    changed_at = coalesce((SELECT received_at FROM events WHERE events.id = suppressions.event),
                          iif(origin = 'cli', last_seen, first_seen)); -- a person's entry was seen when it was made
CREATE INDEX suppressions_expires_at ON suppressions (expires_at) WHERE expires_at IS NOT NULL AND ended = 0;

-- Every change of the list, for ever; rows are only added.
CREATE TABLE audit (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          TEXT    NOT NULL,
    address_key TEXT    NOT NULL,
    address     TEXT    NOT NULL,
    stream      INTEGER NOT NULL,
    action      TEXT    NOT NULL, -- added, changed, removed, expired
    origin      TEXT    NOT NULL, -- bounce, cli, import, expiry, undo, quarantine, hold
    actor       TEXT,             -- the person, where there was one
    before      TEXT,             -- JSON of the entry; NULL: there was none
    after       TEXT,             -- JSON of the entry; NULL: there is none
    why         TEXT,             -- in words
    event       INTEGER           -- the event behind it
) STRICT;
CREATE INDEX audit_address ON audit (address_key, id);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are not changed'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are not deleted'); END;
