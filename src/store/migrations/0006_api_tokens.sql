-- Who may use the HTTP API. A token that was revoked or has run out stays, so that the API does not open up with its
-- last one, and so that the name in the audit means somebody.
CREATE TABLE api_tokens (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    scope      TEXT NOT NULL CHECK (scope IN ('read', 'write')),
    hash       BLOB NOT NULL UNIQUE,       -- SHA-256 of the secret, which nobody keeps
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    revoked_by TEXT,
    last_used  TEXT                        -- to the hour, so that a request costs no write
) STRICT;

CREATE UNIQUE INDEX api_tokens_by_name ON api_tokens (name) WHERE revoked_at IS NULL;

-- One row that is written to see whether writing works.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at TEXT NOT NULL
) STRICT;

PRAGMA user_version = 6;
