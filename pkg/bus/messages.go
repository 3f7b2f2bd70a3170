package bus

import "time"

// Kind is the kind of a message in the stream OBS.
type Kind string

// The kinds of messages in OBS.
const (
	Batch       Kind = "batch" // an agent's observations
	CatalogMark Kind = "catalog"
	RosterMark  Kind = "roster"
	Tick        Kind = "tick"
	ClockMark   Kind = "clock" // a tick that carries the leader's offset of mesh time
)

// Message is one message of the stream OBS.
type Message struct {
	Sequence uint64
	Time     time.Time
	Kind     Kind
	Agent    string // of a batch: the agent's name, which the server has verified
	Header   func(string) string
	Data     []byte
}

// Start is the first sequence of OBS that a reader wants. It is never a time: the server's clock may be stepped, and
// then timestamps are not in order.
type Start struct{ Sequence uint64 }

// BatchInfo describes one batch in the stream OBS, without its content.
type BatchInfo struct {
	Sequence uint64
	Time     time.Time
	Agent    string
	Bytes    int64 // as counted towards the stream's size
}

// Entry is one event to append to the ledger.
type Entry struct {
	Subject string // without SubjectLedger
	ID      string // the stream drops a second event with the same id
	Data    []byte
}

// Record is one event of the ledger.
type Record struct {
	Sequence uint64
	Time     time.Time
	Subject  string // without SubjectLedger
	Data     []byte
}

// StreamInfo describes how large a stream is.
type StreamInfo struct {
	Name     string
	Messages uint64
	Bytes    uint64
	First    uint64
	Last     uint64
	Created  time.Time
}

// Gap is a range of a stream's messages that were stored and are gone, because the stream's files were damaged.
type Gap struct {
	Stream      string
	First, Last uint64
	// When the messages around it were stored. After is zero if nothing older is left.
	After, Before time.Time
}
