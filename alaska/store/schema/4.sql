-- Version 4: what tells whether the write-ahead log beside the file belongs to it, and whether it is missing
-- (alaska/store/mark.py).

-- One row. In the file alone `is_open` is 1 while there is a log that belongs to it: the first that is written into the
-- log sets it to 0 again. The log of a file has its `mark`, and so has no other.
CREATE TABLE opening (
    mark    BLOB NOT NULL,                  -- random
    is_open INTEGER NOT NULL,
    boot    TEXT NOT NULL                   -- of the machine; empty where the system does not say
);
