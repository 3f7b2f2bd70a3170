package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// proxied is one connection of the agents' port.
type proxied struct {
	net.Conn
	proxy   *proxy
	client  netip.Prefix
	silence time.Duration // until the first byte

	// Guarded by proxy.mu.
	slots  *ratelimit.Slots[*proxied] // nil: authenticated, evicted or released
	id     uint64                     // the server's; zero: not known yet
	since  time.Time
	silent bool         // the client has sent nothing
	known  *knownClient // an agent's
}

const (
	infoWait = 10 * time.Second // for the server in this process to answer
	// forwardMax is how many bytes are copied at once: most batches. Each connection has two such buffers.
	forwardMax = 8 << 10
	// writeWait bounds the time in which a client must read what it is sent. The server's own bound is the same.
	writeWait = 10 * time.Second
	// lingerWait bounds the wait for a client to close after the server did.
	lingerWait = time.Second
	tlsRecord  = 22 // the first byte of a TLS handshake
)

// serve forwards the connection until either end closes it.
func (c *proxied) serve(dial func() (net.Conn, error)) {
	server, err := dial()
	if err != nil {
		return // the server is shutting down
	}
	defer server.Close()
	answers := bufio.NewReaderSize(server, forwardMax)
	if err := c.greet(server, answers); err != nil {
		return
	}
	var tasks sync.WaitGroup
	tasks.Go(func() { c.forwardAnswers(answers) })
	c.forwardRequests(server)
	_ = server.Close() // ends forwardAnswers
	tasks.Wait()
}

// greet sends the server's first line to the client.
func (c *proxied) greet(server net.Conn, answers *bufio.Reader) error {
	if err := server.SetReadDeadline(time.Now().Add(infoWait)); err != nil {
		return err
	}
	line, err := answers.ReadSlice('\n')
	if err != nil {
		return err
	}
	line, id, err := requireTLS(line)
	if err != nil {
		return err
	}
	c.proxy.waits(id, c)
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	_, err = deadlineWriter{c}.Write(line)
	return err
}

// requireTLS changes the server's first line to say that TLS is required. On connections within the process the server
// would accept plain text. It returns the server's id of the connection too.
func requireTLS(line []byte) (changed []byte, id uint64, err error) {
	text, ok := bytes.CutPrefix(line, []byte("INFO "))
	if !ok {
		return nil, 0, fmt.Errorf("the server's first line is %.20q", line)
	}
	var info map[string]json.RawMessage
	if err := json.Unmarshal(text, &info); err != nil {
		return nil, 0, fmt.Errorf("the server's first line: %w", err)
	}
	if err := json.Unmarshal(info["client_id"], &id); err != nil {
		return nil, 0, fmt.Errorf("the server's id of a connection: %w", err)
	}
	delete(info, "tls_available")
	info["tls_required"] = json.RawMessage("true")
	encoded, err := json.Marshal(info)
	return fmt.Appendf(nil, "INFO %s\r\n", encoded), id, err
}

// forwardAnswers copies what the server sends, and then tells the client that nothing follows.
func (c *proxied) forwardAnswers(answers *bufio.Reader) {
	_, _ = answers.WriteTo(deadlineWriter{c}) // whichever end failed, the connection ends
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_ = c.SetReadDeadline(time.Now().Add(lingerWait))
}

// forwardRequests copies what the client sends, after its address. It ends at once if the client does not begin a TLS
// handshake: the server would accept plain text from within the process.
func (c *proxied) forwardRequests(server net.Conn) {
	if _, err := server.Write(c.header()); err != nil {
		return
	}
	if err := c.SetReadDeadline(time.Now().Add(c.silence)); err != nil {
		return
	}
	buffer := make([]byte, forwardMax)
	n, err := c.Read(buffer)
	if n == 0 || buffer[0] != tlsRecord || c.SetReadDeadline(time.Time{}) != nil {
		return
	}
	c.proxy.heard(c)
	for ; err == nil; n, err = c.Read(buffer) {
		if _, failed := server.Write(buffer[:n]); failed != nil {
			c.discard(buffer)
			return
		}
	}
}

// discard reads until the client closes, since the server has closed. If the port closed while something of the client
// is unread, the kernel would drop what the server sent last: its reason.
func (c *proxied) discard(buffer []byte) {
	if c.SetReadDeadline(time.Now().Add(lingerWait)) != nil {
		return
	}
	for {
		if _, err := c.Read(buffer); err != nil {
			return
		}
	}
}

// Constants of the PROXY protocol, version 2.
const (
	proxySignature  = "\r\n\r\n\x00\r\nQUIT\n"
	proxyVersion    = 0x21 // 2, and the connection is another's
	proxyTCP4       = 0x11
	proxyTCP6       = 0x21
	proxyLengthTCP4 = 2*4 + 2*2
	proxyLengthTCP6 = 2*16 + 2*2
)

// header returns the PROXY header that tells the server the addresses of both ends.
func (c *proxied) header() []byte {
	from, to := addrPort(c.RemoteAddr()), addrPort(c.LocalAddr())
	out := append([]byte(proxySignature), proxyVersion)
	if from.Addr().Is4() && to.Addr().Is4() {
		out = binary.BigEndian.AppendUint16(append(out, proxyTCP4), proxyLengthTCP4)
		out = append(append(out, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	} else {
		out = binary.BigEndian.AppendUint16(append(out, proxyTCP6), proxyLengthTCP6)
		source, destination := from.Addr().As16(), to.Addr().As16()
		out = append(append(out, source[:]...), destination[:]...)
	}
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, from.Port()), to.Port())
}

// addrPort returns a TCP address, an IPv4 one as such even on an IPv6 socket.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// deadlineWriter writes to a connection, and fails if the other end does not read for writeWait.
type deadlineWriter struct{ conn net.Conn }

func (w deadlineWriter) Write(data []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return 0, err
	}
	return w.conn.Write(data)
}
