-- Persons who are forgotten, and addresses that are hashed.

PRAGMA user_version = 5;

-- By what the key is told that addresses were hashed with: another one would find none of them.
CREATE TABLE hash_key (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    fingerprint TEXT    NOT NULL
) STRICT;

-- Its one row stands only inside a transaction that forgets or hashes addresses: then audit rows may be changed.
CREATE TABLE erasure (
    id INTEGER PRIMARY KEY CHECK (id = 1)
) STRICT;
DROP TRIGGER audit_is_not_changed;
DROP TRIGGER audit_is_not_deleted;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit WHEN NOT EXISTS (SELECT 1 FROM erasure)
    BEGIN SELECT RAISE(ABORT, 'audit rows are not changed'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit WHEN NOT EXISTS (SELECT 1 FROM erasure)
    BEGIN SELECT RAISE(ABORT, 'audit rows are not deleted'); END;
