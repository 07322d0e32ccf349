-- What scripts keep with alaska.kv: version 2 of this file's layout (PRAGMA user_version).
--
-- A number is kept as INTEGER or REAL, so that it can be added to; everything else as a BLOB whose meaning is the
-- business of alaska/worker/api.lua. `expires` is in seconds since 1970 by the clock below, or
-- NULL for never.
CREATE TABLE IF NOT EXISTS entries (
    key BLOB PRIMARY KEY,
    value NOT NULL,
    expires REAL
);

-- Finds what is over without looking at the rest.
CREATE INDEX IF NOT EXISTS entries_by_expiry ON entries (expires) WHERE expires IS NOT NULL;

-- One row: what the clock showed when the file was opened last, so that no step of the wall clock moves it
-- (alaska/clock.py).
CREATE TABLE IF NOT EXISTS clock (
    boot TEXT NOT NULL,
    uptime REAL NOT NULL,
    since_1970 REAL NOT NULL
);

PRAGMA user_version = 2;
