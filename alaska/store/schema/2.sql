-- Version 2: only the values of a message that SQL statements use have columns; the others are one value, which is
-- several times as fast to write. The function `as_data` is defined in alaska/store/rows.py.

DROP INDEX message_by_expiry;
ALTER TABLE message RENAME TO message_of_version_1;

-- The messages in mailboxes and service queues, including those that are delivered and unconfirmed.
--
-- A queue is read in the order of positions, so its messages are stored next to each other (WITHOUT ROWID). `data` is an
-- array in MessagePack: sender, subject, tracker, the frames of the content, whether the sender expects confirmations,
-- and the connection from which the message came, which is not valid after a restart of the broker.
CREATE TABLE message (
    kind       INTEGER NOT NULL,            -- 0: mailbox, 1: service
    address    BLOB    NOT NULL,            -- of the mailbox or service
    position   INTEGER NOT NULL,            -- numbers all messages of the broker in the order of their arrival
    octets     INTEGER NOT NULL,            -- size as limits count it
    attempts   INTEGER NOT NULL,            -- number of deliveries
    expires    REAL,                        -- NULL: never
    data       BLOB    NOT NULL,
    PRIMARY KEY (kind, address, position)
) WITHOUT ROWID;

INSERT INTO message (kind, address, position, octets, attempts, expires, data)
    SELECT kind, address, position, octets, attempts, expires,
        as_data(sender, subject, tracker, content, is_tracked, origin)
    FROM message_of_version_1;

DROP TABLE message_of_version_1;

-- Finds expired messages without reading messages that never expire.
CREATE INDEX message_by_expiry ON message (expires, position) WHERE expires IS NOT NULL;
