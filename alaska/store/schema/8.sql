-- Version 8: what is set up in the broker and not in its configuration, so that it is there after a restart. It replaces
-- the table of paused services.

CREATE TABLE entry (
    kind  TEXT NOT NULL,                    -- which part of the broker it belongs to, such as 'paused'
    name  BLOB NOT NULL,                    -- unique within the kind
    value BLOB NOT NULL,                    -- what that part of the broker encodes; often empty
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

INSERT INTO entry (kind, name, value) SELECT 'paused', service, x'' FROM paused WHERE typeof(service) = 'blob';
DROP TABLE paused;
