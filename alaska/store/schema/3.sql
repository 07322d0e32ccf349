-- Version 3: the steady clock by which messages expire, so that changes of the wall clock do not make them expire early
-- or late (alaska/system/clock.py).

-- One row: the reading of the clock when the store was last opened.
CREATE TABLE clock (
    boot       TEXT NOT NULL,               -- id of the machine's boot; empty if unknown
    uptime     REAL NOT NULL,               -- in seconds since then
    since_1970 REAL NOT NULL                -- in seconds
);
