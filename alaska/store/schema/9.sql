-- Version 9: the ids of messages that are sent once. A second message with the id of one that the same queue has accepted
-- is not stored until the window of the id has ended, whatever became of the first one.

CREATE TABLE once (
    kind     INTEGER NOT NULL,              -- of the queue, as in message
    address  BLOB    NOT NULL,
    id       BLOB    NOT NULL,              -- from the sender
    position INTEGER NOT NULL,              -- of the message with this id
    ends     REAL,                          -- when the window ends, by the clock of expires; NULL: when the message does
    status   INTEGER NOT NULL,              -- the final status of the message; 0: it has none yet
    reason   BLOB    NOT NULL,              -- that of the status
    PRIMARY KEY (kind, address, id)
) WITHOUT ROWID;

-- Finds the windows that have ended without reading the others; it has all columns that are needed to delete them.
CREATE INDEX once_by_end ON once (ends) WHERE ends IS NOT NULL;
