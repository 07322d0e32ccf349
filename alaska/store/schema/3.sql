-- Version 3: the store's own clock, by which messages expire, so that no step of the wall clock makes them expire early
-- or late (alaska/clock.py).

-- One row: what the clock showed when the store was opened last.
CREATE TABLE clock (
    boot       TEXT NOT NULL,               -- of the machine; empty where the system does not say
    uptime     REAL NOT NULL,               -- in seconds since then
    since_1970 REAL NOT NULL                -- in seconds
);
