-- What nobody can give any more, so that it is not asked for anew after each start.
CREATE TABLE gone (
    log   INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    PRIMARY KEY (log, first)
) STRICT, WITHOUT ROWID;
