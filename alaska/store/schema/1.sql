-- The broker's store, version 1. Octets of the protocol are BLOBs, times are in seconds since 1970 unless a column says
-- otherwise. `content` holds the frames of a message one after the other, each behind its length in four octets, network
-- byte order; `octets` is what they have together, which is what limits count.

-- What waits in mailboxes and service queues, and what is with clients and not confirmed yet.
--
-- A queue is read from a position on, in order, so its messages stand together (WITHOUT ROWID). `origin` is the
-- connection that a tracked message came by; it means nothing to a broker that was started since.
CREATE TABLE message (
    kind       INTEGER NOT NULL,            -- 0 a mailbox's, 1 a service's
    address    BLOB    NOT NULL,            -- of which mailbox or service
    position   INTEGER NOT NULL,            -- numbers all messages of the broker in the order of their arrival
    sender     BLOB    NOT NULL,
    subject    BLOB    NOT NULL,
    tracker    BLOB    NOT NULL,
    content    BLOB    NOT NULL,
    octets     INTEGER NOT NULL,
    is_tracked INTEGER NOT NULL,            -- whether the sender waits to hear what becomes of it
    origin     BLOB    NOT NULL,
    expires    REAL,                        -- when it is to be thrown away, if ever
    attempts   INTEGER NOT NULL,            -- how often it was delivered
    PRIMARY KEY (kind, address, position)
) WITHOUT ROWID;

-- Finds what has to be thrown away without looking at what has all the time in the world.
CREATE INDEX message_by_expiry ON message (expires, position) WHERE expires IS NOT NULL;

-- Messages that nobody could deal with.
CREATE TABLE letter (
    position   INTEGER PRIMARY KEY,         -- as it was as a message
    kind       INTEGER NOT NULL,
    address    BLOB    NOT NULL,
    sender     BLOB    NOT NULL,
    subject    BLOB    NOT NULL,
    tracker    BLOB    NOT NULL,
    content    BLOB    NOT NULL,
    is_tracked INTEGER NOT NULL,
    expires    REAL,
    attempts   INTEGER NOT NULL,
    status     INTEGER NOT NULL,            -- of the protocol; with the reason, why it is here
    reason     BLOB    NOT NULL,
    time       REAL    NOT NULL             -- when it was given up
);

-- Streams: the highest position that each ever had, so that none is used twice.
CREATE TABLE stream (
    name       BLOB    PRIMARY KEY,
    last       INTEGER NOT NULL
) WITHOUT ROWID;

-- The journals of streams, read like the queues.
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
