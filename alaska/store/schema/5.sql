-- Version 5: content that is large has a table of its own, so that to look for a row never means to read it.

-- The content of messages (`kind` and `address` as there) and of records (`kind` 2, `address` the stream) that count for
-- more than 1 MiB, in pieces of about as much. Together they hold the frames one after the other, each behind its length
-- in four octets, network byte order; the row of the message or record has no frames then.
CREATE TABLE large (
    kind       INTEGER NOT NULL,
    address    BLOB    NOT NULL,
    position   INTEGER NOT NULL,
    number     INTEGER NOT NULL,            -- of the piece, from 0 on
    data       BLOB    NOT NULL,
    PRIMARY KEY (kind, address, position, number)
);
