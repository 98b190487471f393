-- How many logs of one author are kept has an end; what a room is about is found at once.

-- Of these authors nothing of this epoch or an older one is kept: they begin so many.
CREATE TABLE begins (
    room   BLOB    NOT NULL,
    author BLOB    NOT NULL,
    epoch  INTEGER NOT NULL,        -- with the highest bit turned
    PRIMARY KEY (room, author)
) STRICT, WITHOUT ROWID;

-- What an author said on several networks at once has one clock.
CREATE INDEX entry_hlc ON entry (hlc);

ALTER TABLE line ADD COLUMN topic INTEGER NOT NULL DEFAULT 0;
-- The kind is byte 100 of an entry; 3 says what the room is about.
UPDATE line SET topic = 1 WHERE EXISTS (
    SELECT 1 FROM entry WHERE entry.log = line.log AND entry.seq = line.seq
    AND substr(entry.bytes, 101, 1) = x'03');
CREATE INDEX line_topic ON line (room, key, author, epoch, seq) WHERE topic = 1;
