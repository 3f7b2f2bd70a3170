CREATE TABLE meta (
  version    INTEGER NOT NULL, -- of this schema
  created    INTEGER NOT NULL, -- when the stream of summaries was created, nanoseconds since 1970: identifies it
  sequence   INTEGER NOT NULL, -- of its last record that was applied
  closed     INTEGER NOT NULL, -- days since 1970 before this one are in the table days
  observed   INTEGER NOT NULL, -- the stream of observations that minutes come from: when it was created
  minutes    INTEGER NOT NULL  -- its last sequence that is in minutes
);

-- The events of the last two days, without their summaries: what the next one must continue.
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY,
  until    INTEGER NOT NULL, -- mesh time of its last observations, nanoseconds since 1970
  data     BLOB NOT NULL
);

-- Hours that later observations may still add to.
CREATE TABLE hours (
  check_id TEXT NOT NULL,
  region   TEXT NOT NULL,
  hour     INTEGER NOT NULL, -- since 1970
  data     BLOB NOT NULL,    -- the summary
  PRIMARY KEY (check_id, region, hour)
) WITHOUT ROWID;

-- Days to which nothing is added any more, for years: one row for all hours of a day, so that a year of a check is read
-- from neighbouring pages.
CREATE TABLE days (
  check_id TEXT NOT NULL,
  region   TEXT NOT NULL,
  day      INTEGER NOT NULL, -- since 1970
  data     BLOB NOT NULL,    -- the summary of the day
  hours    BLOB NOT NULL,    -- the digest of each hour
  PRIMARY KEY (check_id, region, day)
) WITHOUT ROWID;

-- The minutes of two days, by vantage: one row for an hour. A minute may be in it several times. With rowids, since rows
-- of more than a kilobyte would get a page of their own without.
CREATE TABLE minutes (
  check_id TEXT NOT NULL,
  vantage  TEXT NOT NULL,
  hour     INTEGER NOT NULL, -- since 1970
  data     BLOB NOT NULL,    -- summaries, each after the number of its minute
  PRIMARY KEY (check_id, vantage, hour)
);
-- What every pair saw in the last minutes, and what is too old. Files of earlier versions get the index when they are
-- opened, which takes less than to fill them again.
CREATE INDEX IF NOT EXISTS minutes_by_hour ON minutes (hour);

-- When nothing was observed.
CREATE TABLE gaps (
  since INTEGER NOT NULL, -- wall clock, nanoseconds since 1970
  until INTEGER NOT NULL,
  PRIMARY KEY (until, since)
) WITHOUT ROWID;
