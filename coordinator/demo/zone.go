package demo

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// zone is the demo's DNS zone, as its primary has it, and the serials of the servers that no longer copy it.
type zone struct {
	mu     sync.Mutex
	serial uint32
	frozen map[*manners]uint32
}

const zoneName = "ninernet.example."

func newZone() *zone { return &zone{serial: 2026010101, frozen: map[*manners]uint32{}} }

// freeze lets a server keep its copy while the primary's zone changes, or copy it again.
func (z *zone) freeze(m *manners, on bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if !on {
		delete(z.frozen, m)
		return
	}
	if _, already := z.frozen[m]; !already {
		z.frozen[m] = z.serial
		z.serial++
	}
}

// serialAt returns the serial that the server has.
func (z *zone) serialAt(m *manners) uint32 {
	z.mu.Lock()
	defer z.mu.Unlock()
	if serial, is := z.frozen[m]; is {
		return serial
	}
	return z.serial
}

// nameserver adapts a dns.Server for each protocol to server.
type nameserver struct{ stream, datagrams *dns.Server }

func newDNS(m *manners) server {
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		answer.Authoritative = true
		question := q.Question[0]
		if !strings.EqualFold(question.Name, zoneName) {
			answer.Rcode = dns.RcodeNameError
		}
		for _, text := range []string{
			fmt.Sprintf("%s 60 IN SOA ns1.%[1]s hostmaster.%[1]s %d 3600 600 86400 60", zoneName, m.zone.serialAt(m)),
			fmt.Sprintf("%s 60 IN NS ns1.%[1]s", zoneName), fmt.Sprintf("%s 60 IN NS ns2.%[1]s", zoneName),
			fmt.Sprintf("%s 60 IN MX 10 mail.%[1]s", zoneName),
		} {
			rr, err := dns.NewRR(text)
			if err == nil && answer.Rcode == dns.RcodeSuccess && rr.Header().Rrtype == question.Qtype {
				answer.Answer = append(answer.Answer, rr)
			}
		}
		_ = w.WriteMsg(answer) // fails only if the client has gone
	})
	return nameserver{&dns.Server{Handler: handler}, &dns.Server{Handler: handler}}
}

func (n nameserver) Serve(l net.Listener) error {
	n.stream.Listener = l
	return n.stream.ActivateAndServe()
}

func (n nameserver) ServePacket(c net.PacketConn) error {
	n.datagrams.PacketConn = c
	return n.datagrams.ActivateAndServe()
}

func (n nameserver) Close() error { return errors.Join(n.stream.Shutdown(), n.datagrams.Shutdown()) }
