-- The broker's store, version 1. Octets of the protocol are BLOBs. Times are in seconds since 1970 unless a column says
-- otherwise. `content` has the frames of a message, each preceded by its length in four octets, network byte order;
-- `octets` is the size of the message as limits count it.

-- The messages in mailboxes and service queues, including those that are delivered and unconfirmed.
--
-- A queue is read in the order of positions, so its messages are stored next to each other (WITHOUT ROWID). `origin` is
-- the connection from which a tracked message came; it is not valid after a restart of the broker.
CREATE TABLE message (
    kind       INTEGER NOT NULL,            -- 0: mailbox, 1: service
    address    BLOB    NOT NULL,            -- of the mailbox or service
    position   INTEGER NOT NULL,            -- numbers all messages of the broker in the order of their arrival
    sender     BLOB    NOT NULL,
    subject    BLOB    NOT NULL,
    tracker    BLOB    NOT NULL,
    content    BLOB    NOT NULL,
    octets     INTEGER NOT NULL,
    is_tracked INTEGER NOT NULL,            -- whether the sender expects confirmations
    origin     BLOB    NOT NULL,
    expires    REAL,                        -- NULL: never
    attempts   INTEGER NOT NULL,            -- number of deliveries
    PRIMARY KEY (kind, address, position)
) WITHOUT ROWID;

-- Finds expired messages without reading messages that never expire.
CREATE INDEX message_by_expiry ON message (expires, position) WHERE expires IS NOT NULL;

-- Dead letters: messages that could not be processed.
CREATE TABLE letter (
    position   INTEGER PRIMARY KEY,         -- of the message
    kind       INTEGER NOT NULL,
    address    BLOB    NOT NULL,
    sender     BLOB    NOT NULL,
    subject    BLOB    NOT NULL,
    tracker    BLOB    NOT NULL,
    content    BLOB    NOT NULL,
    is_tracked INTEGER NOT NULL,
    expires    REAL,
    attempts   INTEGER NOT NULL,
    status     INTEGER NOT NULL,            -- of the protocol
    reason     BLOB    NOT NULL,
    time       REAL    NOT NULL             -- when it became a dead letter
);

-- Streams, with the highest position that was ever used, so that no position is used twice.
CREATE TABLE stream (
    name       BLOB    PRIMARY KEY,
    last       INTEGER NOT NULL
) WITHOUT ROWID;

-- The records of streams, read like the queues.
CREATE TABLE record (
    stream     BLOB    NOT NULL,
    position   INTEGER NOT NULL,            -- within its stream
    time       INTEGER NOT NULL,            -- when the broker received it, in ms since 1970
    sender     BLOB    NOT NULL,
    subject    BLOB    NOT NULL,
    content    BLOB    NOT NULL,
    octets     INTEGER NOT NULL,
    PRIMARY KEY (stream, position)
) WITHOUT ROWID;
