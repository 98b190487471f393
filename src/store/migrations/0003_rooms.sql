-- Rooms whole: order, floors, people, forks. A step in Rust fills the new columns of old rows.
-- Numbers that are compared with each other over all 64 bits (`key`, `place`, `line.epoch`) are
-- stored with the highest bit turned, so that SQLite's signed order is the unsigned one.

ALTER TABLE log     ADD COLUMN network BLOB    NOT NULL DEFAULT x'0000000000000000';
ALTER TABLE log     ADD COLUMN floor   INTEGER NOT NULL DEFAULT 0;  -- nothing is kept at or below
ALTER TABLE log     ADD COLUMN top     INTEGER NOT NULL DEFAULT 0;  -- highest number ever held
ALTER TABLE own_log ADD COLUMN hlc     INTEGER NOT NULL DEFAULT 0;  -- greatest clock of an entry
ALTER TABLE entry   ADD COLUMN hlc     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry   ADD COLUMN key     INTEGER NOT NULL DEFAULT 0;  -- place in the order people see

-- Message ids and dependencies.
CREATE INDEX entry_id ON entry (substr(hash, 1, 16));

-- Who stands behind `of`: to move them when it comes or goes.
CREATE TABLE dep (
    of  BLOB    NOT NULL,
    log INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (of, log, seq)
) STRICT, WITHOUT ROWID;

-- The order people see: one page of scroll-back is one range.
CREATE TABLE line (
    room   BLOB    NOT NULL,
    key    INTEGER NOT NULL,
    author BLOB    NOT NULL,
    epoch  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    log    INTEGER NOT NULL,
    PRIMARY KEY (room, key, author, epoch, seq)
) STRICT, WITHOUT ROWID;

-- Entries whose place is to be looked at again: the rest of what one turn had no time for.
CREATE TABLE moved (
    log INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (log, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE room (
    id     BLOB    PRIMARY KEY,
    name   TEXT    NOT NULL,
    secret BLOB,                    -- the key of a locked room; never the passphrase
    joined INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The newest record of authors.
CREATE TABLE person (
    id          BLOB    PRIMARY KEY,
    key         BLOB    NOT NULL,
    incarnation INTEGER NOT NULL,
    record_seq  INTEGER NOT NULL,
    record      BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE fork (
    log    INTEGER PRIMARY KEY REFERENCES log (id),
    seq    INTEGER NOT NULL,
    first  BLOB    NOT NULL,
    second BLOB    NOT NULL
) STRICT;

-- Private messages with one person, in one order. A row without body and of kind 0 was wiped: its
-- id stays, so that a repetition is not taken for new.
ALTER TABLE private_in  ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
ALTER TABLE private_out ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
ALTER TABLE private_out ADD COLUMN peer  BLOB    NOT NULL DEFAULT x'';
CREATE INDEX private_in_place  ON private_in  (sender, place, id) WHERE kind <> 0;
CREATE INDEX private_out_place ON private_out (peer, place, id)   WHERE kind <> 0;
