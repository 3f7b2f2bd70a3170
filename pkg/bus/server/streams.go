package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Streams saves and loads whole streams by the server's snapshot protocol, so that sequences, times and headers
// survive. It implements the protocol itself, because the client library for it depends on an expression language and
// on YAML.
type Streams struct {
	conn *nats.Conn
	js   jetstream.JetStream
}

// Bounds of the transfer of a snapshot.
const (
	chunkSize  = 128 << 10
	windowSize = 8 << 20 // sent by the server and not acknowledged
	headerMax  = 1 << 20 // bytes of a stream's configuration and state
)

// Streams opens a connection for saving and loading. The caller closes it.
func (s *Server) Streams() (*Streams, error) {
	conn, err := s.connect("mesh", "streams")
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	return &Streams{conn, js}, nil
}

// Close ends the connection.
func (s *Streams) Close() { s.conn.Close() }

// Names lists the streams in the order in which they must be saved while they are in use: a stream comes before those
// that it refers to, so that whatever a saved stream refers to is in the streams saved after it.
func (s *Streams) Names(ctx context.Context) ([]string, error) {
	// A summary in ROLLUP refers to messages of OBS, and the marks in OBS refer to events of the ledger.
	rank := map[string]int{"ROLLUP": -3, "OBS": -2, "LEDGER": -1}
	var out []string
	list := s.js.StreamNames(ctx)
	for name := range list.Name() {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int {
		if rank[a] != rank[b] {
			return rank[a] - rank[b]
		}
		return bytes.Compare([]byte(a), []byte(b))
	})
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list the streams: %w", err)
	}
	return out, nil
}

// header is the first line of a saved stream. The server's snapshot follows it.
type header struct {
	Config json.RawMessage   `json:"config"`
	State  natsd.StreamState `json:"state"`
}

// Save writes a stream while it is in use: a line of its configuration and state, then the server's snapshot.
func (s *Streams) Save(ctx context.Context, name string, w io.Writer) error {
	inbox := s.conn.NewRespInbox()
	sub, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil { // windowSize bounds it
		return fmt.Errorf("save %s: %w", name, err)
	}
	var h header
	// Consumers are left out: readers create their own. CheckMsgs verifies the messages' checksums.
	request := natsd.JSApiStreamSnapshotRequest{DeliverSubject: inbox, NoConsumers: true, ChunkSize: chunkSize,
		WindowSize: windowSize, CheckMsgs: true}
	if err := s.call(ctx, fmt.Sprintf(natsd.JSApiStreamSnapshotT, name), request, &h); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	line, err := json.Marshal(h)
	if err == nil {
		_, err = w.Write(append(line, '\n'))
	}
	if err == nil {
		err = receive(ctx, sub, w)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return nil
}

// receive writes the chunks of a snapshot to w. It acknowledges each once it is written, which paces the server.
func receive(ctx context.Context, sub *nats.Subscription, w io.Writer) error {
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return err
		}
		if len(m.Data) == 0 { // the end, or an error in the headers
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				return fmt.Errorf("the server aborted the snapshot: %s %s", status, m.Header.Get("Description"))
			}
			return nil
		}
		if _, err := w.Write(m.Data); err != nil {
			return err
		}
		if m.Reply == "" {
			continue
		}
		if err := m.Respond(nil); err != nil {
			return err
		}
	}
}

// Load creates a stream, which must not exist, from what Save wrote, and verifies that it is complete. The stream has
// one replica: a coordinator that starts on a cluster adds the others.
func (s *Streams) Load(ctx context.Context, r io.Reader) error {
	in := bufio.NewReaderSize(r, headerMax)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("load a stream: read its first line: %w", err)
	}
	var h header
	var named struct{ Name string }
	if err = json.Unmarshal(line, &h); err == nil {
		err = json.Unmarshal(h.Config, &named)
	}
	if err == nil {
		h.Config, err = withOneReplica(h.Config)
	}
	if err != nil {
		return fmt.Errorf("load a stream: read its first line: %w", err)
	}
	var begun natsd.JSApiStreamRestoreResponse
	if err := s.call(ctx, fmt.Sprintf(natsd.JSApiStreamRestoreT, named.Name), h, &begun); err != nil {
		return fmt.Errorf("load %s: %w", named.Name, err)
	}
	done, err := s.send(ctx, begun.DeliverSubject, in)
	if err != nil {
		return fmt.Errorf("load %s: %w", named.Name, err)
	}
	if done.Msgs != h.State.Msgs || done.LastSeq != h.State.LastSeq {
		return fmt.Errorf("load %s: %d messages up to %d arrived of %d up to %d", named.Name, done.Msgs, done.LastSeq,
			h.State.Msgs, h.State.LastSeq)
	}
	return nil
}

// withOneReplica changes the number of replicas in a stream's configuration and keeps all else, also fields of newer
// servers.
func withOneReplica(config json.RawMessage) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(config, &fields); err != nil {
		return nil, err
	}
	fields["num_replicas"] = json.RawMessage("1")
	return json.Marshal(fields)
}

// Remove deletes streams.
func (s *Streams) Remove(ctx context.Context, names ...string) (err error) {
	for _, name := range names {
		if failed := s.js.DeleteStream(ctx, name); failed != nil {
			err = errors.Join(err, fmt.Errorf("remove %s: %w", name, failed))
		}
	}
	return err
}

// send sends a snapshot in chunks and an empty one at the end, which the server answers once the stream exists.
func (s *Streams) send(ctx context.Context, subject string, r io.Reader) (natsd.StreamState, error) {
	chunk := make([]byte, chunkSize)
	for {
		n, err := io.ReadFull(r, chunk)
		end := errors.Is(err, io.EOF)
		if err != nil && !end && !errors.Is(err, io.ErrUnexpectedEOF) {
			return natsd.StreamState{}, err
		}
		reply, err := s.request(ctx, subject, chunk[:n])
		if err != nil {
			return natsd.StreamState{}, err
		}
		var answer natsd.JSApiStreamCreateResponse
		if len(reply.Data) > 0 {
			if err := json.Unmarshal(reply.Data, &answer); err != nil {
				return natsd.StreamState{}, err
			}
		}
		switch {
		case answer.Error != nil:
			return natsd.StreamState{}, answer.Error
		case end && answer.StreamInfo == nil:
			return natsd.StreamState{}, errors.New("the server does not describe the restored stream")
		case end:
			return answer.State, nil
		}
	}
}

// Bounds of retrying a request that no server of the cluster receives.
const (
	respondersWait  = 5 * time.Second
	respondersRetry = 50 * time.Millisecond
)

// request sends a request and waits for the reply. In a cluster the node that a client is connected to may not know yet
// that another one has subscribed to the subject, above all to one that was made for this restore. Then nobody has
// received the request, and it is sent again.
func (s *Streams) request(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	for deadline := time.Now().Add(respondersWait); ; {
		reply, err := s.conn.RequestWithContext(ctx, subject, data)
		if !errors.Is(err, nats.ErrNoResponders) || time.Now().After(deadline) {
			return reply, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(respondersRetry):
		}
	}
}

// call sends a request to the JetStream API.
func (s *Streams) call(ctx context.Context, subject string, request, into any) error {
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	reply, err := s.request(ctx, subject, data)
	if err != nil {
		return err
	}
	var answer struct {
		Error *natsd.ApiError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return answer.Error
	}
	return json.Unmarshal(reply.Data, into)
}
