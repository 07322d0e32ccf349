-- The key-value store of scripts (alaska.kv), version 2 of the layout (PRAGMA user_version).
--
-- Numbers are stored as INTEGER or REAL, so that they can be increased; all other values as BLOBs, which the Lua code of
-- alaska.kv encodes. `expires` is in seconds since 1970 by the clock below, or NULL for never.
CREATE TABLE IF NOT EXISTS entries (
    key BLOB PRIMARY KEY,
    value NOT NULL,
    expires REAL
);

-- Finds expired keys without reading the others.
CREATE INDEX IF NOT EXISTS entries_by_expiry ON entries (expires) WHERE expires IS NOT NULL;

-- One row: the reading of the steady clock when the file was last opened (alaska/system/clock.py).
CREATE TABLE IF NOT EXISTS clock (
    boot TEXT NOT NULL,
    uptime REAL NOT NULL,
    since_1970 REAL NOT NULL
);

PRAGMA user_version = 2;
