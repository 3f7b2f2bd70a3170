// Package sqlitefile opens SQLite files for many readers.
package sqlitefile

import (
	"context"
	"database/sql"
	"net/url"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// connsMax bounds the connections to a file. Without a bound, the event streams of a hundred pages, which ask at the
// same change, open a hundred, each with memory of its own. SQLite closes no file while another connection is in use.
const connsMax = 8

// Open opens a file for reading and writing, with more options of the driver as a query: "_pragma=secure_delete(1)".
// A power cut may damage the file or take the last transactions, so that it must be possible to make it again.
func Open(ctx context.Context, file, options string) (*sql.DB, error) {
	// NORMAL does not sync each commit. A transaction that reads before it writes fails at once if somebody else wrote
	// meanwhile, so each waits for the others when it begins.
	return open(ctx, file, connsMax, "_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"+
		"&_pragma=busy_timeout(5000)&"+options)
}

// OpenPast opens a file as the last program left it, without its log. It needs no disk space, and only queries may be
// used. It fails if the file is missing.
func OpenPast(ctx context.Context, file string) (*sql.DB, error) {
	// EXCLUSIVE keeps the index of the write-ahead log in memory: the disk may have no space for the file. It admits
	// one connection.
	return open(ctx, file, 1, "mode=rw&_pragma=locking_mode(EXCLUSIVE)&_pragma=wal_autocheckpoint(0)"+
		"&_pragma=query_only(1)")
}

func open(ctx context.Context, file string, conns int, options string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?"+options)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(max(1, conns/2))
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}
