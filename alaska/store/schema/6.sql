-- Version 6: the properties of messages and records, a map in MessagePack, and the time when a message arrived, in ms
-- since 1970 (0: unknown). Those of a message are in its column `data`, where older rows lack them.

ALTER TABLE letter ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE letter ADD COLUMN properties BLOB NOT NULL DEFAULT x'80';
ALTER TABLE record ADD COLUMN properties BLOB NOT NULL DEFAULT x'80';
