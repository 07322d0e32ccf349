-- Version 7: the services that are paused, so that they still are after a restart.

CREATE TABLE paused (
    service BLOB PRIMARY KEY
) WITHOUT ROWID;
