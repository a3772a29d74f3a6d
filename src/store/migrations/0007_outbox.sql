-- What the list and the bounces tell others: written with the change itself, in one transaction.

PRAGMA user_version = 7;

ALTER TABLE messages ADD COLUMN replayed_at TEXT; -- when a person brought it in from a file; NULL: it came

-- One row an event, in the order in which they were committed. Numbers are never used again.
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          TEXT    NOT NULL, -- when it was written here
    type        TEXT    NOT NULL, -- bounce.recorded, complaint.recorded, suppression.added, suppression.removed, hold.opened
    address_key TEXT    NOT NULL, -- events of one address are delivered in order; empty where it is about none
    stream      INTEGER NOT NULL,
    audit       INTEGER,          -- suppression.*: the row of the history that it tells of, which nobody changes
    data        TEXT              -- the others: JSON of what happened, as it was then
) STRICT;
CREATE INDEX outbox_address ON outbox (address_key);

-- Events up to this one may be gone: they were kept for their time.
CREATE TABLE outbox_pruned (through INTEGER NOT NULL) STRICT;
INSERT INTO outbox_pruned VALUES (0);

-- An event with its data, whole.
CREATE VIEW outbox_events AS
SELECT outbox.id, outbox.at, type, outbox.address_key, outbox.stream,
       coalesce(data, json_set(
           coalesce(after, before, '{}'),
           '$.bounce', (SELECT message FROM events WHERE events.id = audit.event),
           '$.trust', (SELECT trust FROM events WHERE events.id = audit.event),
           '$.change', json_object('action', action, 'at', audit.at, 'origin', origin, 'actor', actor, 'why', why)
       )) AS data
FROM outbox LEFT JOIN audit ON audit.id = outbox.audit;

-- A report that came again tells nothing new. Reports that nobody's mail failed (delays, deliveries, automatic replies)
-- are no bounces.
CREATE TRIGGER outbox_bounce AFTER INSERT ON events
WHEN NEW.repeats IS NULL AND (NEW.bounce_type <> 'none' OR NEW.class = 'complaint')
BEGIN
    INSERT INTO outbox (at, type, address_key, stream, data)
    SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now'),
           iif(NEW.class = 'complaint', 'complaint.recorded', 'bounce.recorded'), NEW.recipient_key, NEW.stream,
           json_object('bounce', NEW.message, 'event', NEW.id, 'received_at', NEW.received_at, 'kind', kind,
               'origin', iif(replayed_at IS NULL, 'bounce', 'replay'), 'stream', NEW.stream, 'trust', NEW.trust,
               'recipient', NEW.recipient, 'original_recipient', NEW.original_recipient,
               'final_recipient', NEW.final_recipient, 'action', NEW.action, 'status', NEW.status,
               'effective_status', NEW.effective_status, 'reply_code', NEW.reply_code,
               'diagnostic_type', NEW.diagnostic_type, 'diagnostic_code', NEW.diagnostic_code,
               'remote_mta', NEW.remote_mta, 'last_attempt_date', NEW.last_attempt_date,
               'bounce_type', NEW.bounce_type, 'category', NEW.category, 'class', NEW.class,
               'decision', NEW.decision, 'rule', NEW.rule, 'evidence_field', NEW.evidence_field,
               'evidence', NEW.evidence, 'facts', json(NEW.facts), 'change', NEW.change, 'hold', NEW.hold,
               'reporting_mta', reporting_mta, 'original_envelope_id', original_envelope_id,
               'arrival_date', arrival_date, 'original_message_id', original_message_id,
               'original_from', original_from, 'original_subject', original_subject)
    FROM messages WHERE messages.id = NEW.message;
END;

-- The history has every change of the list, whoever makes it. What stood and is changed goes on suppressing: no news.
CREATE TRIGGER outbox_suppression AFTER INSERT ON audit WHEN NEW.action IN ('added', 'removed', 'expired')
BEGIN
    INSERT INTO outbox (at, type, address_key, stream, audit)
    VALUES (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'),
            iif(NEW.action = 'added', 'suppression.added', 'suppression.removed'), NEW.address_key, NEW.stream, NEW.id);
END;

CREATE TRIGGER outbox_hold AFTER INSERT ON holds
BEGIN
    INSERT INTO outbox (at, type, address_key, stream, data)
    VALUES (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), 'hold.opened', '', 0,
            json_object('id', NEW.id, 'kind', NEW.kind, 'name', NEW.name, 'opened_at', NEW.opened_at, 'why', NEW.why,
                'recheckable_only', json(iif(NEW.recheckable, 'true', 'false')), 'state', NEW.state));
END;

-- How far each webhook is.
CREATE TABLE webhooks (
    name          TEXT    PRIMARY KEY,
    through       INTEGER NOT NULL, -- every event up to this one is delivered, or stands in webhook_deliveries
    replays       INTEGER NOT NULL DEFAULT 0, -- grows when somebody asks for events again
    failing_since TEXT,             -- nothing was taken since then; NULL: the last answer was good
    error         TEXT,             -- what was wrong then
    delivered_at  TEXT              -- the last time that it took something
) STRICT, WITHOUT ROWID;

-- Events that were passed by: those tried in vain, those that wait behind them, and those given up.
CREATE TABLE webhook_deliveries (
    webhook   TEXT    NOT NULL,
    event     INTEGER NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    state     TEXT    NOT NULL, -- waiting, dead
    attempts  INTEGER NOT NULL DEFAULT 0,
    failed_at TEXT,             -- the first time in vain
    next_at   TEXT,             -- not before then
    dead_at   TEXT,
    error     TEXT,             -- the last answer
    PRIMARY KEY (webhook, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event);
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook, state, event);
