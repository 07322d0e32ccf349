-- Version 10: why a message became a dead letter, and which worker had it last.

ALTER TABLE letter ADD COLUMN cause BLOB NOT NULL DEFAULT x'6661696c6564';  -- a word; by default 'failed'
ALTER TABLE letter ADD COLUMN worker BLOB NOT NULL DEFAULT x'';             -- the address of its session; empty: unknown
ALTER TABLE letter ADD COLUMN host BLOB NOT NULL DEFAULT x'';
ALTER TABLE letter ADD COLUMN pid INTEGER NOT NULL DEFAULT 0;

-- What older versions knew of the cause is in the status and the reason.
UPDATE letter SET cause = CAST('not_found' AS BLOB) WHERE status = 404;
UPDATE letter SET cause = CAST('attempts' AS BLOB)
    WHERE status = 502 AND CAST(reason AS TEXT) GLOB 'delivered [0-9]* times without confirmation';
