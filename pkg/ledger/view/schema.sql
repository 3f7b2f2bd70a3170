CREATE TABLE meta (
  version  INTEGER NOT NULL, -- of this schema
  created  INTEGER NOT NULL, -- when the log was created, nanoseconds since 1970: identifies it
  sequence INTEGER NOT NULL, -- of the last event applied
  digest   BLOB NOT NULL DEFAULT x'' -- of that event: a log that has another one there has lost its end
);

-- What the streams have lost by damage. Rows of a lost end are known from nowhere else and outlive a rebuild.
CREATE TABLE gaps (
  stream TEXT NOT NULL,
  first  INTEGER NOT NULL, -- sequence
  last   INTEGER NOT NULL,
  after  INTEGER NOT NULL, -- wall time of the message before it, nanoseconds since 1970; 0: there is none
  before INTEGER NOT NULL, -- the same of the message after it
  tail   INTEGER NOT NULL, -- 1: the stream ended there, and later messages have these sequences again
  UNIQUE (stream, first, last, tail)
);

-- How far each stream reached when that was last recorded. A stream that reaches less far has lost its end.
CREATE TABLE heads (
  stream  TEXT PRIMARY KEY,
  created INTEGER NOT NULL, -- nanoseconds since 1970: identifies the stream
  last    INTEGER NOT NULL, -- sequence
  count   INTEGER NOT NULL, -- messages, if nothing removes one without writing another; else 0
  at      INTEGER NOT NULL  -- wall time, nanoseconds since 1970
);

CREATE TABLE transitions (
  sequence  INTEGER PRIMARY KEY, -- in the log
  id        TEXT NOT NULL,
  judged    INTEGER NOT NULL,    -- the sequence of the stream of observations at which it was decided
  host      TEXT NOT NULL,       -- key, as the host is called now
  host_id   TEXT NOT NULL,
  published INTEGER NOT NULL,    -- mesh time, nanoseconds since 1970
  data      BLOB NOT NULL,       -- the transition, JSON
  UNIQUE (id, published)         -- ids repeat when the stream of observations is recreated and counts from 1 again
);
CREATE INDEX transitions_by_host ON transitions (host, published);
CREATE INDEX transitions_by_id ON transitions (host_id);
CREATE INDEX transitions_by_time ON transitions (published);

-- The span of time during which a transition's verdict is in force for its check.
CREATE TABLE standings (
  sequence INTEGER PRIMARY KEY, -- of the transition
  host     TEXT NOT NULL,       -- key, as the host is called now
  check_   TEXT NOT NULL,       -- the same
  check_id TEXT NOT NULL,
  verdict  TEXT NOT NULL,
  began    INTEGER NOT NULL,    -- mesh time, nanoseconds since 1970: when its cause began
  offset   INTEGER NOT NULL,    -- mesh time less the wall clock when it was published, nanoseconds
  since    INTEGER NOT NULL,    -- mesh time, nanoseconds since 1970: when it was published
  until    INTEGER NOT NULL     -- the same: when the next transition or a catalog ended it; the largest number while it is open
);
CREATE INDEX standings_by_end ON standings (until, host, check_, since);
CREATE INDEX standings_by_begin ON standings (since, offset);
-- With every column that uptime is measured from: it reads thousands of rows.
CREATE INDEX standings_of_period ON standings (until, began, since, host, check_, verdict);

-- The span of time during which a host had a status.
CREATE TABLE host_standings (
  sequence INTEGER PRIMARY KEY, -- of the transition
  host     TEXT NOT NULL,       -- key
  status   TEXT NOT NULL,
  began    INTEGER NOT NULL,    -- as in standings
  since    INTEGER NOT NULL,    -- as in standings
  until    INTEGER NOT NULL     -- the same: when the next status or a catalog ended it; the largest number while it is open
);
CREATE INDEX host_standings_by_end ON host_standings (until, host);
CREATE INDEX host_standings_of_period ON host_standings (until, began, since, host, status);

-- The span of time during which nothing was judged.
CREATE TABLE pauses (
  since INTEGER NOT NULL, -- mesh time, nanoseconds since 1970
  until INTEGER NOT NULL, -- the same
  PRIMARY KEY (until, since)
) WITHOUT ROWID;

-- The span of time during which a host, or a check by its own, was internal.
CREATE TABLE internal (
  host  TEXT NOT NULL,    -- key; of a check, the host's key, a line break and the check's name
  since INTEGER NOT NULL, -- mesh time, nanoseconds since 1970
  until INTEGER NOT NULL  -- the same; the largest number while it is open
);
CREATE INDEX internal_by_end ON internal (until, host);

CREATE TABLE catalogs (
  sequence INTEGER PRIMARY KEY,
  revision TEXT NOT NULL,
  at       INTEGER NOT NULL,
  data     BLOB NOT NULL
);
CREATE INDEX catalogs_by_revision ON catalogs (revision);

-- When each host and check came into the catalog, and when one last changed what readers see of it.
CREATE TABLE components (
  id      TEXT PRIMARY KEY,
  added   INTEGER NOT NULL, -- wall time, nanoseconds since 1970
  changed INTEGER NOT NULL  -- the same
) WITHOUT ROWID;

-- Every key that an agent was ever enrolled with. A host's last one is valid, unless it was revoked.
CREATE TABLE agents (
  public_key TEXT NOT NULL,
  host       TEXT NOT NULL,              -- by which NATS knows the agent: what its host was called then
  host_id    TEXT NOT NULL DEFAULT '',   -- of its host; empty where no catalog had that
  sequence   INTEGER NOT NULL,           -- of the enrolment
  at         INTEGER NOT NULL,           -- nanoseconds since 1970
  revoked    INTEGER NOT NULL DEFAULT 0, -- nanoseconds since 1970; 0: it was not
  superseded INTEGER NOT NULL DEFAULT 0, -- 1: the host was enrolled again with another key
  next       TEXT NOT NULL DEFAULT '',   -- see ledger.Agent
  since      INTEGER NOT NULL DEFAULT 0, -- the same
  UNIQUE (host, public_key)
);
CREATE INDEX agents_by_host ON agents (host, sequence);

-- Incidents, derived from the transitions, the catalogs and what people did.
CREATE TABLE incidents (
  id       TEXT PRIMARY KEY,
  opened   INTEGER NOT NULL, -- nanoseconds since 1970
  resolved INTEGER NOT NULL, -- the same; the largest number while it is open, 0 if another one continues it
  public   INTEGER NOT NULL, -- the same: from when on the public may see it; the largest number: not yet, or never
  merged   TEXT NOT NULL DEFAULT '', -- the incident that continues it
  data     BLOB NOT NULL     -- the incident, JSON, without the texts that people wrote
);
CREATE INDEX incidents_by_end ON incidents (resolved, opened);

-- What people wrote about incidents. Title and body are NULL if the text is lost.
CREATE TABLE incident_texts (
  id       TEXT PRIMARY KEY, -- of the record in TEXT
  incident TEXT NOT NULL,
  title    TEXT,
  body     TEXT
);
CREATE INDEX incident_texts_by_incident ON incident_texts (incident);

-- Texts of incidents and of maintenance that people removed.
CREATE TABLE erased_texts (
  id TEXT PRIMARY KEY -- of the record in TEXT
) WITHOUT ROWID;

-- What people published.
CREATE TABLE posts (
  id        TEXT PRIMARY KEY,
  published INTEGER NOT NULL,           -- wall time, nanoseconds since 1970
  edited    INTEGER NOT NULL DEFAULT 0, -- the same; 0: never
  removed   INTEGER NOT NULL DEFAULT 0, -- the same
  tags      TEXT NOT NULL,              -- JSON
  category  TEXT NOT NULL,
  hosts     TEXT NOT NULL               -- internal ids, JSON
);
CREATE INDEX posts_by_time ON posts (published);

-- A post's texts: the one with the largest sequence is the present one. Title and body are NULL once they are erased.
CREATE TABLE post_texts (
  id       TEXT PRIMARY KEY,           -- of the record in TEXT
  post     TEXT NOT NULL,
  sequence INTEGER NOT NULL,           -- in the log
  at       INTEGER NOT NULL,           -- wall time, nanoseconds since 1970
  shown    INTEGER NOT NULL DEFAULT 0, -- 1: the public may read it though it is not the present text
  title    TEXT,
  body     TEXT
);
CREATE INDEX post_texts_by_post ON post_texts (post, sequence);

-- Planned maintenance, with what people changed since.
CREATE TABLE maintenances (
  id     TEXT PRIMARY KEY,
  begins INTEGER NOT NULL, -- wall time, nanoseconds since 1970: when it was announced, which is never after its start
  over   INTEGER NOT NULL, -- the same: when its last occurrence ends
  data   BLOB NOT NULL     -- the maintenance, JSON
);
CREATE INDEX maintenances_by_end ON maintenances (over, begins);

-- Who did what.
CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY, -- in the log
  event    TEXT NOT NULL UNIQUE,
  at       INTEGER NOT NULL,    -- wall time, nanoseconds since 1970
  actor    TEXT NOT NULL,       -- the id of a token, or "shell"
  action   TEXT NOT NULL,
  object   TEXT NOT NULL,       -- the id of what was changed
  key      TEXT NOT NULL,       -- the digest of an idempotency key; empty: there was none
  request  TEXT NOT NULL        -- the digest of the request that came with it
);
CREATE INDEX audit_by_key ON audit (key) WHERE key <> '';
-- Messages that channels took, acknowledgements, and the silences in force.
CREATE TABLE notified (
  action TEXT NOT NULL,
  id     TEXT NOT NULL,
  alert  TEXT NOT NULL,
  at     INTEGER NOT NULL, -- wall time, nanoseconds since 1970
  data   BLOB NOT NULL,    -- the event, JSON
  PRIMARY KEY (action, id)
);
CREATE INDEX notified_by_time ON notified (at);
