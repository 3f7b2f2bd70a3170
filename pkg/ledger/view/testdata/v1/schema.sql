CREATE TABLE meta (
  version  INTEGER NOT NULL, -- of this schema
  created  INTEGER NOT NULL, -- when the log was made, nanoseconds since 1970: another time is another log
  sequence INTEGER NOT NULL  -- of the last event taken
);

CREATE TABLE transitions (
  sequence  INTEGER PRIMARY KEY, -- in the log
  id        TEXT NOT NULL,
  judged    INTEGER NOT NULL,    -- the sequence of the stream of observations at which it was decided
  host      TEXT NOT NULL,       -- key
  published INTEGER NOT NULL,    -- nanoseconds since 1970
  data      BLOB NOT NULL,       -- the transition, JSON
  UNIQUE (id, published)         -- a stream of observations made anew counts from 1 again, and its ids with it
);
CREATE INDEX transitions_by_host ON transitions (host, published);
CREATE INDEX transitions_by_time ON transitions (published);

-- The latest transition of every check, and how long the check went on to ask the same.
CREATE TABLE standings (
  host     TEXT NOT NULL, -- key
  check_   TEXT NOT NULL,
  verdict  TEXT NOT NULL,
  sequence INTEGER NOT NULL, -- of the transition
  until    INTEGER NOT NULL DEFAULT 9223372036854775807, -- nanoseconds since 1970: when a catalog ended it
  PRIMARY KEY (host, check_)
);

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

-- The book of incidents, as the transitions make it.
CREATE TABLE incidents (
  id       TEXT PRIMARY KEY,
  opened   INTEGER NOT NULL, -- nanoseconds since 1970
  resolved INTEGER NOT NULL, -- the same; the largest number while it is open
  data     BLOB NOT NULL     -- the incident, JSON
);
CREATE INDEX incidents_by_end ON incidents (resolved, opened);
