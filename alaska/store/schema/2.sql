-- Version 2: of a message, only what is asked for by SQL has a column; the rest is one value, which is written several
-- times as fast as so many columns. `as_data` is Python's (alaska/store/rows.py).

DROP INDEX message_by_expiry;
ALTER TABLE message RENAME TO message_of_version_1;

-- What waits in mailboxes and service queues, and what is with clients and not confirmed yet.
--
-- A queue is read from a position on, in order, so its messages stand together (WITHOUT ROWID). `data` is an array in
-- MessagePack: sender, subject, tracker, the frames of the content, whether the sender waits to hear what becomes of
-- it, and the connection that it came by, which means nothing to a broker that was started since.
CREATE TABLE message (
    kind       INTEGER NOT NULL,            -- 0 a mailbox's, 1 a service's
    address    BLOB    NOT NULL,            -- of which mailbox or service
    position   INTEGER NOT NULL,            -- numbers all messages of the broker in the order of their arrival
    octets     INTEGER NOT NULL,            -- of its content
    attempts   INTEGER NOT NULL,            -- how often it was delivered
    expires    REAL,                        -- when it is to be thrown away, if ever
    data       BLOB    NOT NULL,
    PRIMARY KEY (kind, address, position)
) WITHOUT ROWID;

INSERT INTO message (kind, address, position, octets, attempts, expires, data)
    SELECT kind, address, position, octets, attempts, expires,
        as_data(sender, subject, tracker, content, is_tracked, origin)
    FROM message_of_version_1;

DROP TABLE message_of_version_1;

-- Finds what has to be thrown away without looking at what has all the time in the world.
CREATE INDEX message_by_expiry ON message (expires, position) WHERE expires IS NOT NULL;
