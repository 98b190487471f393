-- All steps at once, for a database that is new: exactly what the steps make (a test compares). One
-- transaction and no ALTER TABLE take a fraction of the time. Whoever adds a step changes this too; the
-- comments on columns that the steps have are kept by SQLite, so they are here as well.

CREATE TABLE node (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    incarnation INTEGER NOT NULL,
    file        TEXT,               -- which file this database was when last opened
    boot        TEXT,               -- the boot of the machine in which `unclean` was set
    unclean     INTEGER NOT NULL    -- own entries were written and the store was not closed since
) STRICT;

CREATE TABLE own_log (
    author  BLOB    NOT NULL,
    room    BLOB    NOT NULL,
    epoch   INTEGER NOT NULL,
    network BLOB    NOT NULL,
    seq     INTEGER NOT NULL,
    hash    BLOB    NOT NULL,
    retired INTEGER NOT NULL, hlc     INTEGER NOT NULL DEFAULT 0,       -- never to be continued
    PRIMARY KEY (author, room, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE log (
    id     INTEGER PRIMARY KEY,
    room   BLOB    NOT NULL,
    author BLOB    NOT NULL,
    epoch  INTEGER NOT NULL,
    low    INTEGER NOT NULL,
    head   INTEGER NOT NULL,
    hash   BLOB    NOT NULL, network BLOB    NOT NULL DEFAULT x'0000000000000000', floor   INTEGER NOT NULL DEFAULT 0, top     INTEGER NOT NULL DEFAULT 0, came INTEGER NOT NULL DEFAULT 0,        -- of the entry at `head`
    UNIQUE (room, author, epoch)
) STRICT;

CREATE TABLE entry (
    log   INTEGER NOT NULL REFERENCES log (id),
    seq   INTEGER NOT NULL,
    hash  BLOB    NOT NULL,
    bytes BLOB    NOT NULL, hlc     INTEGER NOT NULL DEFAULT 0, key     INTEGER NOT NULL DEFAULT 0, came INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (log, seq)
) STRICT;

CREATE TABLE private_in (
    number INTEGER PRIMARY KEY,
    id     BLOB    NOT NULL UNIQUE,
    sender BLOB    NOT NULL,
    hlc    INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    body   BLOB    NOT NULL
, place INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE private_out (
    number   INTEGER PRIMARY KEY,
    id       BLOB    NOT NULL UNIQUE,
    receiver BLOB    NOT NULL,
    hlc      INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    state    INTEGER NOT NULL       -- 0 waits, 1 delivered, 2 given up
, place INTEGER NOT NULL DEFAULT 0, peer  BLOB    NOT NULL DEFAULT x'') STRICT;

CREATE INDEX private_out_waiting ON private_out (receiver, number) WHERE state = 0;

CREATE TABLE pin (
    skeleton TEXT PRIMARY KEY,
    key      BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE neighbor (
    network BLOB    NOT NULL,
    id      BLOB    NOT NULL,
    address TEXT    NOT NULL,       -- with port, as `10.0.0.7:5263` or `[fe80::7]:5263`
    heard   INTEGER NOT NULL,       -- milliseconds since the Unix epoch
    PRIMARY KEY (network, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX entry_id ON entry (substr(hash, 1, 16));

CREATE TABLE dep (
    of  BLOB    NOT NULL,
    log INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (of, log, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE line (
    room   BLOB    NOT NULL,
    key    INTEGER NOT NULL,
    author BLOB    NOT NULL,
    epoch  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    log    INTEGER NOT NULL, came INTEGER NOT NULL DEFAULT 0, topic INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (room, key, author, epoch, seq)
) STRICT, WITHOUT ROWID;

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

CREATE INDEX private_in_place  ON private_in  (sender, place, id) WHERE kind <> 0;

CREATE INDEX private_out_place ON private_out (peer, place, id)   WHERE kind <> 0;

CREATE INDEX line_came ON line (room, came, author, epoch, seq);

CREATE TABLE clock (
    at INTEGER PRIMARY KEY          -- milliseconds since the Unix epoch
, believed INTEGER NOT NULL DEFAULT 1) STRICT;

CREATE TABLE begins (
    room   BLOB    NOT NULL,
    author BLOB    NOT NULL,
    epoch  INTEGER NOT NULL,        -- with the highest bit turned
    PRIMARY KEY (room, author)
) STRICT, WITHOUT ROWID;

CREATE INDEX line_topic ON line (room, key, author, epoch, seq) WHERE topic = 1;

CREATE INDEX entry_hlc ON entry (hlc, log);

CREATE INDEX entry_came ON entry (came);

CREATE TABLE gone (
    log   INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    PRIMARY KEY (log, first)
) STRICT, WITHOUT ROWID;

INSERT INTO node (id, incarnation, unclean) VALUES (1, 0, 0);
