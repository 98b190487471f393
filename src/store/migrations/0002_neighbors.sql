-- Who was reached on which network, to be asked first when the node is there again.
CREATE TABLE neighbor (
    network BLOB    NOT NULL,
    id      BLOB    NOT NULL,
    address TEXT    NOT NULL,       -- with port, as `10.0.0.7:5263` or `[fe80::7]:5263`
    heard   INTEGER NOT NULL,       -- milliseconds since the Unix epoch
    PRIMARY KEY (network, id)
) STRICT, WITHOUT ROWID;
