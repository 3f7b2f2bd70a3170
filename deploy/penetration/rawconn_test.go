package penetration_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
)

// rawConn is a connection that writes the NATS protocol itself, so that no library prevents what is forbidden.
type rawConn struct {
	net.Conn
	lines    *bufio.Reader
	nonce    string
	received []frame // messages, oldest first
}

// frame is a message from the server.
type frame struct{ subject, data string }

// connect is the CONNECT message of a client.
type connect struct {
	Verbose   bool   `json:"verbose"`
	Pedantic  bool   `json:"pedantic"`
	Headers   bool   `json:"headers"`
	Responder bool   `json:"no_responders"`
	Lang      string `json:"lang"`
	JWT       string `json:"jwt,omitempty"`
	Signature string `json:"sig,omitempty"`
	NKey      string `json:"nkey,omitempty"`
	User      string `json:"user,omitempty"`
	Password  string `json:"pass,omitempty"`
	Token     string `json:"auth_token,omitempty"`
}

// answerWait bounds the wait for an answer. A server that works answers a ping long before, also on a busy machine.
const answerWait = time.Minute

// dialRaw opens a TLS connection and reads the server's challenge. A nil config means no TLS.
func dialRaw(address string, config *tls.Config) (*rawConn, error) {
	conn, err := net.DialTimeout("tcp", address, answerWait)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(answerWait))
	r := &rawConn{Conn: conn, lines: bufio.NewReader(conn)}
	line, err := r.lines.ReadString('\n')
	if err != nil {
		conn.Close()
		return nil, err
	}
	var info struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info); err != nil {
		conn.Close()
		return nil, err
	}
	r.nonce = info.Nonce
	if config == nil {
		return r, nil // without TLS
	}
	secured := tls.Client(conn, config)
	if err := secured.Handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	r.Conn, r.lines = secured, bufio.NewReader(secured)
	return r, nil
}

// authenticate sends the CONNECT message, and fails if the server refuses it.
func (r *rawConn) authenticate(c connect) error {
	c.Headers, c.Responder, c.Lang = true, true, "go"
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return r.send("CONNECT " + string(data) + "\r\n")
}

// sign signs the server's challenge.
func (r *rawConn) sign(seed string) string {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return err.Error()
	}
	signature, err := pair.Sign([]byte(r.nonce))
	if err != nil {
		return err.Error()
	}
	return base64.RawURLEncoding.EncodeToString(signature)
}

// refused is an error of the server, or that it closed the connection.
type refused string

func (r refused) Error() string { return string(r) }

const errClosed refused = "the server closes the connection"

// send sends text and returns the server's error. A ping follows the text, so that its answer shows that the server has
// read all.
func (r *rawConn) send(text string) error {
	_ = r.SetDeadline(time.Now().Add(answerWait))
	go func() { _, _ = io.WriteString(r, text+"PING\r\n") }() // the server may answer and close before it has read all
	var refusal error
	for {
		line, err := r.read()
		switch {
		case err != nil && timeout(err):
			return fmt.Errorf("no answer: %w", err)
		case err != nil && refusal != nil:
			return fmt.Errorf("%w, and closes the connection", refusal)
		case err != nil:
			return errClosed
		case strings.HasPrefix(line, "-ERR") && refusal == nil:
			refusal = refused(strings.Trim(strings.TrimPrefix(line, "-ERR "), "'"))
		case line == "PONG":
			return refusal
		}
	}
}

func timeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// read reads one line of the protocol, and the message that follows it.
func (r *rawConn) read() (string, error) {
	line, err := r.lines.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	words := strings.Fields(line)
	if len(words) < 4 || words[0] != "MSG" && words[0] != "HMSG" {
		return line, nil
	}
	n, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		return "", err
	}
	data := make([]byte, n+2)
	if _, err := io.ReadFull(r.lines, data); err != nil {
		return "", err
	}
	r.received = append(r.received, frame{words[1], string(data[:n])})
	return line, nil
}

// answer returns the next message.
func (r *rawConn) answer() (string, error) {
	_ = r.SetDeadline(time.Now().Add(answerWait))
	for len(r.received) == 0 {
		if _, err := r.read(); err != nil {
			return "", err
		}
	}
	f := r.received[0]
	r.received = r.received[1:]
	return f.data, nil
}

// expect waits for a message with the data, and drops those before it.
func (r *rawConn) expect(t *testing.T, data string) {
	t.Helper()
	for {
		switch got, err := r.answer(); {
		case err != nil:
			t.Fatal(err)
		case got == data:
			return
		}
	}
}

// pub and hpub return the protocol's messages to publish without and with headers.
func pub(subject, reply, data string) string {
	return fmt.Sprintf("PUB %s %s %d\r\n%s\r\n", subject, reply, len(data), data)
}

func hpub(subject, reply, headers, data string) string {
	head := "NATS/1.0\r\n" + headers + "\r\n"
	return fmt.Sprintf("HPUB %s %s %d %d\r\n%s%s\r\n", subject, reply, len(head), len(head)+len(data), head, data)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func decode(s string) string {
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
