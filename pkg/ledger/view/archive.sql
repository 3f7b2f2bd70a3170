-- The addresses that imported posts had.
CREATE TABLE permalinks (
  address TEXT PRIMARY KEY, -- as archive.Permalink writes it
  post    TEXT NOT NULL
) WITHOUT ROWID;

-- What people read about the past, of every kind. The rows follow from the tables of the kinds.
CREATE TABLE entries (
  row      INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: readers' positions name it
  kind     TEXT NOT NULL,
  id       TEXT NOT NULL,
  at       INTEGER NOT NULL, -- wall time, nanoseconds since 1970
  month    INTEGER NOT NULL, -- of at in UTC: 12 * year + month - 1
  category TEXT NOT NULL,
  hosts    INTEGER NOT NULL, -- how many it names; 0: it is for every reader
  host     TEXT NOT NULL,    -- the internal id of the first: most name one, and counts read thousands of them
  shown    INTEGER NOT NULL, -- wall time: from when on the public may read it; 0: always
  data     BLOB NOT NULL,    -- the entry, JSON
  UNIQUE (kind, id)
);
CREATE INDEX entries_by_time ON entries (at, row, hosts, host, shown);
CREATE INDEX entries_by_month ON entries (month, host, hosts, shown);
CREATE INDEX entries_by_category ON entries (category, at);

CREATE TABLE entry_hosts (
  entry INTEGER NOT NULL,
  host  TEXT NOT NULL, -- internal id
  PRIMARY KEY (entry, host)
) WITHOUT ROWID;
CREATE INDEX entry_hosts_by_host ON entry_hosts (host, entry);

CREATE TABLE entry_tags (
  entry INTEGER NOT NULL,
  tag   TEXT NOT NULL,
  PRIMARY KEY (entry, tag)
) WITHOUT ROWID;
CREATE INDEX entry_tags_by_tag ON entry_tags (tag, entry);

-- The parts of entries as the search finds them. Their texts have the same rows.
CREATE TABLE documents (
  row    INTEGER PRIMARY KEY, -- see documentRow
  entry  INTEGER NOT NULL,
  host   TEXT NOT NULL,    -- internal id: only readers of this host find it; empty: all readers of the entry
  at     INTEGER NOT NULL, -- wall time, nanoseconds since 1970
  digest BLOB NOT NULL
);
CREATE INDEX documents_by_entry ON documents (entry, host);
CREATE INDEX documents_by_time ON documents (at);

CREATE VIRTUAL TABLE texts USING fts5 (title, text, tokenize = "unicode61 remove_diacritics 2");
-- Overwrites what is deleted, as the pragma secure_delete does for other tables.
INSERT INTO texts (texts, rank) VALUES ('secure-delete', 1);
