-- What scripts keep with alaska.kv: version 1 of this file's layout (PRAGMA user_version).
--
-- A number is kept as INTEGER or REAL, so that it can be added to; everything else as a BLOB whose meaning is the
-- business of alaska/worker/api.lua. `expires` is in seconds since 1970, or NULL for never.
CREATE TABLE IF NOT EXISTS entries (
    key BLOB PRIMARY KEY,
    value NOT NULL,
    expires REAL
);

-- Finds what is over without looking at the rest.
CREATE INDEX IF NOT EXISTS entries_by_expiry ON entries (expires) WHERE expires IS NOT NULL;

PRAGMA user_version = 1;
