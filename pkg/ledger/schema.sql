CREATE TABLE meta (
  version  INTEGER NOT NULL, -- of this schema
  created  INTEGER NOT NULL, -- when the log was made, nanoseconds since 1970: another time is another log
  sequence INTEGER NOT NULL  -- of the last event taken
);

CREATE TABLE transitions (
  sequence  INTEGER PRIMARY KEY, -- in the log
  id        TEXT NOT NULL UNIQUE,
  judged    INTEGER NOT NULL,    -- the sequence of the stream of observations at which it was decided
  host      TEXT NOT NULL,       -- key
  check_    TEXT NOT NULL,
  published INTEGER NOT NULL,    -- nanoseconds since 1970
  data      BLOB NOT NULL        -- the transition, JSON
);
CREATE INDEX transitions_by_host ON transitions (host, check_, sequence);
CREATE INDEX transitions_by_time ON transitions (published);

CREATE TABLE catalogs (
  sequence INTEGER PRIMARY KEY,
  revision TEXT NOT NULL,
  at       INTEGER NOT NULL,
  data     BLOB NOT NULL
);
CREATE INDEX catalogs_by_revision ON catalogs (revision);

CREATE TABLE agents (
  host       TEXT PRIMARY KEY,
  public_key TEXT NOT NULL,
  at         INTEGER NOT NULL
);
