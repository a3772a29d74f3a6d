-- Times are UTC, written as 2026-11-21T20:54:30Z; days are counted from 1970-01-01.
-- Addresses with the suffix _key are in the comparison form of src/address.rs.

PRAGMA application_id = 0x64736e64; -- "dsnd"
PRAGMA user_version = 1;

-- One row a message that was acknowledged, recognised or not.
CREATE TABLE messages (
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    digest               BLOB    NOT NULL UNIQUE, -- SHA-256 of the message without its trace header fields
    received_at          TEXT    NOT NULL,
    copies               INTEGER NOT NULL DEFAULT 1, -- how often the same message came
    peer                 TEXT    NOT NULL,
    helo                 TEXT    NOT NULL,
    reverse_path         TEXT    NOT NULL, -- empty for <>
    recipients           TEXT    NOT NULL, -- JSON array of the forward-paths
    original_recipients  TEXT    NOT NULL, -- JSON array of their ORCPT, null where there was none
    envelope_id          TEXT,             -- ENVID of the bounce itself
    kind                 TEXT    NOT NULL,
    message_id           TEXT,
    sender               TEXT,
    subject              TEXT,
    reporting_mta        TEXT,
    original_envelope_id TEXT,
    arrival_date         TEXT,
    original_message_id  TEXT,
    original_from        TEXT,
    original_to          TEXT    NOT NULL, -- JSON array
    original_subject     TEXT,
    defects              TEXT    NOT NULL, -- JSON array of what could not be read
    size                 INTEGER NOT NULL, -- octets as received
    raw                  BLOB              -- zstd; NULL once its time is over
) STRICT;
CREATE INDEX messages_received_at ON messages (received_at);
CREATE INDEX messages_raw_kept ON messages (received_at) WHERE raw IS NOT NULL;

-- One row a recipient of a report.
CREATE TABLE events (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    event_key          BLOB    NOT NULL UNIQUE, -- the same report never counts twice
    message            INTEGER NOT NULL REFERENCES messages (id),
    received_at        TEXT    NOT NULL,
    stream             INTEGER NOT NULL,
    trust              TEXT    NOT NULL,
    recipient          TEXT    NOT NULL,
    recipient_key      TEXT    NOT NULL,
    original_recipient TEXT,
    final_recipient    TEXT,
    action             TEXT,
    status             TEXT,
    effective_status   TEXT,
    reply_code         INTEGER,
    diagnostic_type    TEXT,
    diagnostic_code    TEXT,
    remote_mta         TEXT,
    last_attempt_date  TEXT,
    bounce_type        TEXT    NOT NULL,
    category           TEXT    NOT NULL,
    class              TEXT    NOT NULL,
    decision           TEXT    NOT NULL,
    rule               TEXT    NOT NULL,
    evidence_field     TEXT    NOT NULL,
    evidence           TEXT    NOT NULL,
    facts              TEXT,             -- JSON object: listed_ip, blocklist, retry_after …; NULL: none
    change             TEXT    NOT NULL  -- what it did: suppressed, counted, seen, cleared, quarantined, none
) STRICT;
CREATE INDEX events_message ON events (message);
CREATE INDEX events_recipient ON events (recipient_key, received_at);

-- The list. An entry whose time is over stays: the next term depends on it.
CREATE TABLE suppressions (
    address_key    TEXT    NOT NULL,
    stream         INTEGER NOT NULL DEFAULT 0, -- 0: every stream
    address        TEXT    NOT NULL,           -- as it was last written
    reason         TEXT    NOT NULL,           -- soft, hard, manual, complaint
    class          TEXT,
    status         TEXT,
    rule           TEXT,
    evidence       TEXT,
    note           TEXT,
    first_seen     TEXT    NOT NULL,
    last_seen      TEXT    NOT NULL,
    count          INTEGER NOT NULL,
    expires_at     TEXT,                       -- NULL: never
    recheckable    INTEGER NOT NULL DEFAULT 0,
    soft_term_days INTEGER NOT NULL DEFAULT 0,
    origin         TEXT    NOT NULL,           -- bounce, cli
    event          INTEGER,                    -- the event behind the entry
    PRIMARY KEY (address_key, stream)
) STRICT, WITHOUT ROWID;
CREATE INDEX suppressions_last_seen ON suppressions (last_seen);

-- What is counted, a row a day. scope: address, domain, host; kind: soft, mailbox_full, or a class.
CREATE TABLE counters (
    scope  TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    stream INTEGER NOT NULL DEFAULT 0,
    kind   TEXT    NOT NULL,
    day    INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (scope, name, stream, kind, day)
) STRICT, WITHOUT ROWID;
