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

// raw is a connection that speaks the server's protocol by hand: no library keeps it from asking what is forbidden.
type raw struct {
	net.Conn
	lines *bufio.Reader
	nonce string
	heard []frame // messages that came, oldest first
}

// frame is a message that the server delivered.
type frame struct{ subject, data string }

// connect is what a client says of itself.
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

const answerWait = 10 * time.Second // a server that is alive answers a ping long before

// knock opens a TLS connection and reads the server's challenge.
func knock(address string, config *tls.Config) (*raw, error) {
	conn, err := net.DialTimeout("tcp", address, answerWait)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(answerWait))
	r := &raw{Conn: conn, lines: bufio.NewReader(conn)}
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
		return r, nil // it goes on without TLS
	}
	secured := tls.Client(conn, config)
	if err := secured.Handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	r.Conn, r.lines = secured, bufio.NewReader(secured)
	return r, nil
}

// enter introduces itself, and fails where the server does not let it in.
func (r *raw) enter(c connect) error {
	c.Headers, c.Responder, c.Lang = true, true, "go"
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return r.say("CONNECT " + string(data) + "\r\n")
}

// sign answers the server's challenge with a key.
func (r *raw) sign(seed string) string {
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

// refused is what the server said against something, or that it hung up.
type refused string

func (r refused) Error() string { return string(r) }

const hungUp refused = "the server hangs up"

// say sends something, and returns what the server has against it. A ping behind it tells that the server has read it.
func (r *raw) say(something string) error {
	_ = r.SetDeadline(time.Now().Add(answerWait))
	go func() { _, _ = io.WriteString(r, something+"PING\r\n") }() // the server may answer, and go, before it has read all
	var against error
	for {
		line, err := r.read()
		switch {
		case err != nil && timeout(err):
			return fmt.Errorf("no answer: %w", err)
		case err != nil && against != nil:
			return fmt.Errorf("%w, and hangs up", against)
		case err != nil:
			return hungUp
		case strings.HasPrefix(line, "-ERR") && against == nil:
			against = refused(strings.Trim(strings.TrimPrefix(line, "-ERR "), "'"))
		case line == "PONG":
			return against
		}
	}
}

func timeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// read reads one line of the protocol, and keeps the message that it begins.
func (r *raw) read() (string, error) {
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
	r.heard = append(r.heard, frame{words[1], string(data[:n])})
	return line, nil
}

// answer is the next message that comes.
func (r *raw) answer() (string, error) {
	_ = r.SetDeadline(time.Now().Add(answerWait))
	for len(r.heard) == 0 {
		if _, err := r.read(); err != nil {
			return "", err
		}
	}
	f := r.heard[0]
	r.heard = r.heard[1:]
	return f.data, nil
}

// expect waits for a message with the data, and drops what came before it.
func (r *raw) expect(t *testing.T, data string) {
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

// pub and hpub are publications in the protocol's words.
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
