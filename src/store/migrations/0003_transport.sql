-- How a message came.

PRAGMA user_version = 3;

ALTER TABLE messages ADD COLUMN protocol TEXT; -- SMTP, ESMTP, ESMTPS … (RFC 3848); NULL: by none, or not recorded
ALTER TABLE messages ADD COLUMN tls TEXT;      -- TLS version and cipher suite; NULL: in the clear
