-- The first schema. Numbers that may use all 64 bits (epoch, hlc) are stored as the signed number
-- of the same bits; keys, ids and hashes as blobs of fixed length.

-- One row: what is known of this database itself and of the last run.
CREATE TABLE node (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    incarnation INTEGER NOT NULL,
    file        TEXT,               -- which file this database was when last opened
    boot        TEXT,               -- the boot of the machine in which `unclean` was set
    unclean     INTEGER NOT NULL    -- own entries were written and the store was not closed since
) STRICT;
INSERT INTO node (id, incarnation, unclean) VALUES (1, 0, 0);

-- Where the own logs stand. Outlives the entries themselves, so that no number is used twice.
CREATE TABLE own_log (
    author  BLOB    NOT NULL,
    room    BLOB    NOT NULL,
    epoch   INTEGER NOT NULL,
    network BLOB    NOT NULL,
    seq     INTEGER NOT NULL,
    hash    BLOB    NOT NULL,
    retired INTEGER NOT NULL,       -- never to be continued
    PRIMARY KEY (author, room, epoch)
) STRICT, WITHOUT ROWID;

-- Every log of which an entry is held. `low` to `head` are held without a gap.
CREATE TABLE log (
    id     INTEGER PRIMARY KEY,
    room   BLOB    NOT NULL,
    author BLOB    NOT NULL,
    epoch  INTEGER NOT NULL,
    low    INTEGER NOT NULL,
    head   INTEGER NOT NULL,
    hash   BLOB    NOT NULL,        -- of the entry at `head`
    UNIQUE (room, author, epoch)
) STRICT;

CREATE TABLE entry (
    log   INTEGER NOT NULL REFERENCES log (id),
    seq   INTEGER NOT NULL,
    hash  BLOB    NOT NULL,
    bytes BLOB    NOT NULL,
    PRIMARY KEY (log, seq)
) STRICT;

-- `number` is the order of arrival.
CREATE TABLE private_in (
    number INTEGER PRIMARY KEY,
    id     BLOB    NOT NULL UNIQUE,
    sender BLOB    NOT NULL,
    hlc    INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;

CREATE TABLE private_out (
    number   INTEGER PRIMARY KEY,
    id       BLOB    NOT NULL UNIQUE,
    receiver BLOB    NOT NULL,
    hlc      INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    state    INTEGER NOT NULL       -- 0 waits, 1 delivered, 2 given up
) STRICT;
CREATE INDEX private_out_waiting ON private_out (receiver, number) WHERE state = 0;

CREATE TABLE pin (
    skeleton TEXT PRIMARY KEY,
    key      BLOB NOT NULL
) STRICT, WITHOUT ROWID;
