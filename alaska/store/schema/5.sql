-- Version 5: large content has a separate table, so that searching for a row does not read it.

-- The content of messages (`kind` and `address` as there) and records (`kind` 2, `address` is the stream) with a size of
-- more than 1 MiB, in chunks of about 1 MiB. Together they have the frames, each preceded by its length in four octets,
-- network byte order; the row of the message or record has no frames then.
CREATE TABLE large (
    kind       INTEGER NOT NULL,
    address    BLOB    NOT NULL,
    position   INTEGER NOT NULL,
    number     INTEGER NOT NULL,            -- of the chunk, from 0 on
    data       BLOB    NOT NULL,
    PRIMARY KEY (kind, address, position, number)
);
