-- What is asked for is found by an index, and what nothing proves can be dropped first.

PRAGMA user_version = 10;

CREATE INDEX messages_kind ON messages (kind);

-- No recipient's return path proves it: anybody may have sent it.
ALTER TABLE messages ADD COLUMN unproven INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_unproven_raw ON messages (recorded_at, length(raw)) WHERE unproven AND raw IS NOT NULL;

-- What bounces are asked for, in the order of their messages.
CREATE INDEX events_domain ON events (domain, message);
CREATE INDEX events_rule ON events (rule, message);
CREATE INDEX events_remote_mta ON events (
    lower(rtrim(substr(remote_mta, 1, instr(remote_mta || ' ', ' ') - 1), '.')), message) WHERE remote_mta IS NOT NULL;
CREATE INDEX events_listed_ip ON events (facts ->> 'listed_ip', message) WHERE facts IS NOT NULL;

-- What is held about an address.
CREATE INDEX events_held_address ON events (recipient_key, received_at) WHERE change = 'held';
