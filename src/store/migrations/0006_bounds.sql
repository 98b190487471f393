-- What an author says of clocks and numbers costs no more than its share of the store.

-- Many lines of one author may name one clock: with the log the index finds the one that is looked for.
DROP INDEX entry_hlc;
CREATE INDEX entry_hlc ON entry (hlc, log);

-- When the last of a log came: of too many the one that was silent longest makes way.
ALTER TABLE log ADD COLUMN came INTEGER NOT NULL DEFAULT 0;
UPDATE log SET came = coalesce((SELECT max(came) FROM entry WHERE entry.log = log.id), 0);

-- What is too old is found without looking at the rest.
CREATE INDEX entry_came ON entry (came);

-- Whether the clock was believed in that hour.
ALTER TABLE clock ADD COLUMN believed INTEGER NOT NULL DEFAULT 1;
