-- What is kept for how long, and what is counted by the day.

PRAGMA user_version = 4;

-- When it came into the database: later than received_at where a person brought it in.
ALTER TABLE messages ADD COLUMN recorded_at TEXT NOT NULL DEFAULT '';
UPDATE messages SET recorded_at = received_at;
DROP INDEX messages_received_at;
CREATE INDEX messages_recorded_at ON messages (recorded_at);
DROP INDEX messages_raw_kept;
CREATE INDEX messages_raw_kept ON messages (recorded_at) WHERE raw IS NOT NULL;

-- Its decision is applied to the list without a person's word: it is proven, or the operator trusts what proves nothing.
ALTER TABLE events ADD COLUMN applies INTEGER NOT NULL DEFAULT 0;
UPDATE events SET applies = 1
    WHERE repeats IS NULL
      AND (change IN ('suppressed', 'counted', 'seen', 'cleared', 'held') OR hold IS NOT NULL
           OR (trust = 'proven' AND domain <> '' AND change = 'none'));
CREATE INDEX events_repeats ON events (repeats) WHERE repeats IS NOT NULL;

CREATE INDEX counters_day ON counters (scope, day);

-- Events a day, for statistics. What repeats another delivery of the same report is not among them.
CREATE TABLE aggregates (
    day      INTEGER NOT NULL, -- UTC, counted from 1970-01-01
    domain   TEXT    NOT NULL, -- of the recipient; empty where nothing proves it: a stranger can name any number
    stream   INTEGER NOT NULL,
    class    TEXT    NOT NULL,
    decision TEXT    NOT NULL,
    change   TEXT    NOT NULL, -- as in events
    count    INTEGER NOT NULL,
    PRIMARY KEY (day, domain, stream, class, decision, change)
) STRICT, WITHOUT ROWID;

INSERT INTO aggregates
    SELECT unixepoch(received_at) / 86400,
           iif(applies OR change IN ('suppressed', 'counted', 'seen', 'cleared'), domain, ''),
           stream, class, decision, change, count(*)
    FROM events WHERE repeats IS NULL GROUP BY 1, 2, 3, 4, 5, 6;

-- In the transaction that writes the event, whoever writes it. What is deleted stays counted.
CREATE TRIGGER events_are_counted AFTER INSERT ON events WHEN NEW.repeats IS NULL BEGIN
    INSERT INTO aggregates VALUES (
        unixepoch(NEW.received_at) / 86400,
        iif(NEW.applies OR NEW.change IN ('suppressed', 'counted', 'seen', 'cleared'), NEW.domain, ''),
        NEW.stream, NEW.class, NEW.decision, NEW.change, 1)
    ON CONFLICT (day, domain, stream, class, decision, change) DO UPDATE SET count = count + 1;
END;

-- What a person settles, or rules decide anew, is counted as what it became.
CREATE TRIGGER events_are_counted_anew AFTER UPDATE OF change, class, decision ON events
WHEN NEW.repeats IS NULL
     AND (OLD.change, OLD.class, OLD.decision) <> (NEW.change, NEW.class, NEW.decision) BEGIN
    UPDATE aggregates SET count = count - 1
        WHERE day = unixepoch(OLD.received_at) / 86400
          AND domain = iif(OLD.applies OR OLD.change IN ('suppressed', 'counted', 'seen', 'cleared'), OLD.domain, '')
          AND stream = OLD.stream AND class = OLD.class AND decision = OLD.decision AND change = OLD.change;
    DELETE FROM aggregates
        WHERE day = unixepoch(OLD.received_at) / 86400
          AND domain = iif(OLD.applies OR OLD.change IN ('suppressed', 'counted', 'seen', 'cleared'), OLD.domain, '')
          AND stream = OLD.stream AND class = OLD.class AND decision = OLD.decision AND change = OLD.change
          AND count <= 0;
    INSERT INTO aggregates VALUES (
        unixepoch(NEW.received_at) / 86400,
        iif(NEW.applies OR NEW.change IN ('suppressed', 'counted', 'seen', 'cleared'), NEW.domain, ''),
        NEW.stream, NEW.class, NEW.decision, NEW.change, 1)
    ON CONFLICT (day, domain, stream, class, decision, change) DO UPDATE SET count = count + 1;
END;
