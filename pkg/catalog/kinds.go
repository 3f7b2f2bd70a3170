package catalog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Kinds of checks, as catalogs spell them.
const (
	KindPing = "ping"
	KindTCP  = "tcp"
	KindHTTP = "http"
)

// Kinds lists the kinds that this version knows.
func Kinds() []string {
	return []string{KindPing, KindTCP, KindHTTP, KindTLS, KindSMTP, KindIMAP, KindPOP3, KindDNS, KindSIP}
}

// Options are the settings of one kind of check, such as Ping, HTTP or DNS. They are values. In JSON the fields of the
// options are beside those of the check.
type Options interface {
	// kind is the kind's name in a catalog.
	kind() string
	// question returns the options without the fields that change nothing about which answers are good. Checks whose
	// questions are deeply equal test the same thing.
	question() Options
	// provesHostAlive reports whether a good answer can only come from the host itself, over TCP or UDP.
	provesHostAlive() bool
	// validate returns an error if no check of the kind can have these options. Decode calls it.
	validate() error
	// withTexts returns the options with each text that may have references to secrets replaced by what fn returns.
	withTexts(fn func(key, text string) (string, error)) (Options, error)
}

// Ping requires the reply to an ICMP echo request.
type Ping struct{}

// TCP requires that the port accepts a connection and, if there is a banner, sends a first line that matches.
type TCP struct {
	Port   int    `json:"port,omitempty"`
	Banner string `json:"banner,omitempty"` // a regular expression (RE2)
	TLS    bool   `json:"tls,omitempty"`    // a TLS handshake comes first
	Verification
}

func (Ping) kind() string { return KindPing }
func (TCP) kind() string  { return KindTCP }

func (o Ping) question() Options { return o }

func (o TCP) question() Options {
	o.Verification = o.Verification.question()
	return o
}

func (Ping) provesHostAlive() bool { return false } // a ping says nothing about why another ping is lost
func (TCP) provesHostAlive() bool  { return true }

func (Ping) validate() error { return nil }

func (o TCP) validate() error {
	if !o.TLS && o.Verification != (Verification{}) {
		return errors.New("server_name, certificate_days, ca and client_certificate are for a check with tls: true")
	}
	_, err := regexp.Compile(o.Banner)
	return errors.Join(validPort(o.Port), err, o.Verification.validate())
}

// CertificateDaysMax bounds certificate_days and signature_days.
const CertificateDaysMax = 3650

func validDays(key string, n int) error {
	if n < 0 || n > CertificateDaysMax {
		return fmt.Errorf("%s %d is not a number from 1 to %d", key, n, CertificateDaysMax)
	}
	return nil
}

// CertificateDays returns within how many days operators are advised that the server's certificate ends; 0: never.
func (c *Check) CertificateDays() int {
	switch o := c.Options.(type) {
	case HTTP:
		return o.CertificateDays
	case TCP:
		return o.CertificateDays
	case TLS:
		return o.CertificateDays
	case SIP:
		return o.CertificateDays
	}
	session, _ := MailSessionOf(c.Options)
	return session.CertificateDays
}

func (o Ping) withTexts(func(key, text string) (string, error)) (Options, error) { return o, nil }

func (o TCP) withTexts(fn func(key, text string) (string, error)) (_ Options, err error) {
	o.Banner, err = fn("banner", o.Banner)
	return o, err
}

// DegradedReason returns how the reason of a slow result begins that counts as degraded, or "" if none does: a mail
// server that asks clients to come back later, and an HTTP phase that is over its objective.
func (c *Check) DegradedReason() string {
	if _, isMail := MailSessionOf(c.Options); isMail {
		return mesh.ReasonTemporary
	}
	if o, ok := c.Options.(HTTP); ok && len(o.Phases) > 0 {
		return mesh.ReasonOverObjective
	}
	return ""
}

// ProvesHostAlive reports whether a good answer to the check proves that its host is alive: then a lost ping of the
// host was filtered on the way. A kind that this version does not know proves nothing.
func (c *Check) ProvesHostAlive() bool { return c.Options != nil && c.Options.provesHostAlive() }

// Port returns the port that the check connects to, or 0 if it connects to none.
func (c *Check) Port() int {
	switch o := c.Options.(type) {
	case TCP:
		return o.Port
	case TLS:
		return o.Port
	case DNS:
		return o.Port
	case SIP:
		return o.Port
	case HTTP:
		_, _, port, _ := address.ParseURL(o.URL)
		return port
	}
	session, _ := MailSessionOf(c.Options)
	return session.Port
}

// DefaultPort returns the port of checks with these options that give none, or 0 if they must give one.
func DefaultPort(o Options) int {
	switch o := o.(type) {
	case TLS:
		return TLSPort
	case DNS:
		return DNSPort
	case SIP:
		if o.Transport == TransportTLS {
			return SIPSPort
		}
		return SIPPort
	case SMTP:
		return MailPort(KindSMTP, o.TLS)
	case IMAP:
		return MailPort(KindIMAP, o.TLS)
	case POP3:
		return MailPort(KindPOP3, o.TLS)
	}
	return 0
}

// PortText returns the port that the check connects to as text, or "" if it connects to none.
func (c *Check) PortText() string {
	if port := c.Port(); port != 0 {
		return strconv.Itoa(port)
	}
	return ""
}

// DefaultName returns the name of a check that was not given one: its kind and port.
func (c *Check) DefaultName() string {
	if port := c.PortText(); port != "" {
		return c.Kind + " " + port
	}
	return c.Kind
}

// SameQuestion reports whether both checks test the same thing. A check that now tests something else starts as
// pending. Families are compared only if both checks have them: a catalog of the previous version has none, and an
// upgrade must not reset its checks. Which regions leave the check out changes nothing for the others. The options
// are compared with all their fields, also those added later, except those that question leaves out; of secrets the
// references count, and not the values.
func (c *Check) SameQuestion(other *Check) bool {
	return c.Kind == other.Kind && sameOptions(c, other) &&
		(len(c.Families) == 0 || len(other.Families) == 0 || reflect.DeepEqual(c.Families, other.Families))
}

func questionOf(o Options) Options {
	if o == nil {
		return nil
	}
	return o.question()
}

// The parts of a check's JSON before and after the fields of its options. Their order is that of the first format: a
// catalog's revision is computed from the text.
type (
	checkHead struct {
		ID       string        `json:"id,omitempty"`
		Kind     string        `json:"kind"`
		Name     string        `json:"name"`
		Was      string        `json:"was,omitempty"`
		Critical bool          `json:"critical"`
		Interval time.Duration `json:"interval"`
		Timeout  time.Duration `json:"timeout"`
		Families []mesh.Family `json:"families,omitempty"`
	}
	checkTail struct {
		Latency time.Duration `json:"latency,omitempty"`
		Loss    float64       `json:"loss,omitempty"`
		Except  []string      `json:"except,omitempty"`
		Secrets []Reference   `json:"secrets,omitempty"`
		Needs   []string      `json:"needs,omitempty"`

		FewObservers bool `json:"few_observers,omitempty"`
		Internal     bool `json:"internal,omitempty"`

		// Shared is the interval where checkHead has a shorter one: programs of version 0.1 refuse a catalog with a longer
		// one than IntervalMax.
		Shared time.Duration `json:"shared_interval,omitempty"`
	}
)

// MarshalJSON writes the check as one flat object.
func (c Check) MarshalJSON() ([]byte, error) {
	kind := c.encodedKind()
	if len(c.Secrets) > 0 {
		kind += secretsSuffix
	}
	interval, shared := c.Interval, time.Duration(0)
	if interval > IntervalMax {
		interval, shared = IntervalMax, interval
	}
	parts := []any{
		checkHead{c.ID, kind, c.Name, c.Was, c.Critical, interval, c.Timeout, c.Families},
		c.Options,
		checkTail{c.Latency, c.Loss, c.Except, c.Secrets, c.Needs, c.FewObservers, c.Internal, shared},
	}
	out := []byte{'{'}
	for _, part := range parts {
		if part == nil {
			continue
		}
		data, err := json.Marshal(part)
		if err != nil {
			return nil, err
		}
		fields := data[1 : len(data)-1]
		if len(fields) > 0 && len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, fields...)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads a flat object. A kind that this version does not know has no options.
func (c *Check) UnmarshalJSON(data []byte) error {
	var head checkHead
	var tail checkTail
	if err := errors.Join(json.Unmarshal(data, &head), json.Unmarshal(data, &tail)); err != nil {
		return err
	}
	*c = Check{
		ID: head.ID, Kind: head.Kind, Name: head.Name, Was: head.Was, Critical: head.Critical,
		Interval: cmp.Or(tail.Shared, head.Interval), Timeout: head.Timeout,
		Families: head.Families, Except: tail.Except, Latency: tail.Latency, Loss: tail.Loss, Needs: tail.Needs,
		FewObservers: tail.FewObservers, Internal: tail.Internal,
	}
	// A program without references may have passed the check on, without its options: it stays an unknown kind.
	kind, ok := strings.CutSuffix(head.Kind, secretsSuffix)
	if ok && len(tail.Secrets) > 0 && decoders[kind] != nil {
		c.Kind, c.Secrets = kind, tail.Secrets
	}
	decode := decoders[c.Kind]
	if decode == nil {
		return nil
	}
	var err error
	c.Options, err = decode(data)
	c.Kind = c.Options.kind() // which may be encoded as another
	return err
}

// decoders read the options of each kind, by the name that is encoded.
var decoders = map[string]func(data []byte) (Options, error){
	KindPing: decode[Ping],
	KindTCP:  decode[TCP],
	kindTCPOverTLS: func(data []byte) (Options, error) {
		var o TCP
		err := json.Unmarshal(data, &o)
		o.TLS = true
		return o, err
	},
	KindHTTP: decode[HTTP], kindHTTPRequest: decode[HTTP],
	KindTLS:  decode[TLS],
	KindSMTP: decode[SMTP],
	KindIMAP: decode[IMAP],
	KindPOP3: decode[POP3],
	KindDNS:  decode[DNS],
	KindSIP:  decode[SIP],
}

func decode[T Options](data []byte) (Options, error) {
	var o T
	err := json.Unmarshal(data, &o)
	return o, err
}

// NewOptions returns the options of a kind with nothing set, or nil if there is no such kind.
func NewOptions(kind string) Options {
	if !slices.Contains(Kinds(), kind) {
		return nil
	}
	o, _ := decoders[kind]([]byte("{}"))
	return o
}
