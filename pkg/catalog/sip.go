package catalog

import (
	"errors"
	"fmt"
	"slices"
)

const (
	// KindSIP is the kind of SIP.
	KindSIP = "sip"
	// SIPPort and SIPSPort are where a check of the kind SIP sends its request by default, without and with TLS.
	SIPPort, SIPSPort = 5060, 5061
)

// SIP requires that a phone server answers OPTIONS.
type SIP struct {
	Port      int    `json:"port,omitempty"`
	Transport string `json:"transport,omitempty"` // udp, tcp or tls; empty: udp
	Codes     []int  `json:"codes,omitempty"`     // of good answers; empty: 200
	Domain    string `json:"domain,omitempty"`    // whose server is asked for; empty: the host's address
	Verification
}

func (SIP) kind() string          { return KindSIP }
func (SIP) provesHostAlive() bool { return true }

// The order of the codes changes nothing.
func (o SIP) question() Options {
	o.Verification = o.Verification.question()
	o.Codes = slices.Clone(o.Codes)
	slices.Sort(o.Codes)
	return o
}

func (o SIP) withTexts(func(key, text string) (string, error)) (Options, error) { return o, nil }

// Accepts reports whether an answer with the code is good.
func (o SIP) Accepts(code int) bool {
	return slices.Contains(o.Codes, code) || len(o.Codes) == 0 && code == 200
}

func (o SIP) validate() error {
	switch {
	case !slices.Contains([]string{"", TransportUDP, TransportTCP, TransportTLS}, o.Transport):
		return fmt.Errorf("transport %.20q is neither udp, tcp nor tls", o.Transport)
	case o.Transport != TransportTLS && o.Verification != (Verification{}):
		return errors.New("server_name, certificate_days, ca and client_certificate are for a check with transport: tls")
	case len(o.Codes) > ListMax:
		return fmt.Errorf("more than %d codes", ListMax)
	case slices.ContainsFunc(o.Codes, func(code int) bool { return code < 200 || code > 699 }):
		return errors.New("a code is not a number from 200 to 699")
	}
	return errors.Join(ValidServerName(o.Domain), validPort(o.Port), o.Verification.validate())
}
