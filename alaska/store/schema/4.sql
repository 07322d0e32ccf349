-- Version 4: a mark by which the broker detects that the write-ahead log (WAL) belongs to another file or is missing
-- (alaska/store/wal_mark.py).

-- One row. In the file without its WAL, `is_open` is 1 while there is a WAL that belongs to it: the first transaction in
-- the WAL sets it to 0. The WAL of a file contains the file's `mark`, and no other WAL does.
CREATE TABLE opening (
    mark    BLOB NOT NULL,                  -- random
    is_open INTEGER NOT NULL,
    boot    TEXT NOT NULL                   -- id of the machine's boot; empty if unknown
);
