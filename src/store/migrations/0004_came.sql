-- When each entry came, by the own clock in milliseconds since the Unix epoch: what is forgotten
-- is not for the clocks of authors to say. Of old rows it is not known: their author's clock, where
-- it can be true, else now.

ALTER TABLE entry ADD COLUMN came INTEGER NOT NULL DEFAULT 0;
ALTER TABLE line  ADD COLUMN came INTEGER NOT NULL DEFAULT 0;

UPDATE entry SET came = CASE
    WHEN hlc > 0 AND hlc >> 16 BETWEEN 1577836800000 AND unixepoch() * 1000 THEN hlc >> 16
    ELSE unixepoch() * 1000 END;
UPDATE line SET came = coalesce(
    (SELECT came FROM entry WHERE entry.log = line.log AND entry.seq = line.seq), unixepoch() * 1000);

-- What of a room came first.
CREATE INDEX line_came ON line (room, came, author, epoch, seq);

-- Hours in which this store was tidied, by the own clock: one that jumped has none behind it.
CREATE TABLE clock (
    at INTEGER PRIMARY KEY          -- milliseconds since the Unix epoch
) STRICT;
