package mesh

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// FailureKind is the kind of failure of a check, from a closed list.
type FailureKind uint8

// The kinds of failure. The zero value is a failure that this version cannot name.
const (
	OtherFailure FailureKind = iota
	NoAnswer
	ConnectionRefused
	ConnectionClosed
	HostUnreachable
	NameNotFound
	Silent // accepted the connection and sent nothing
	UnfinishedAnswer
	UnexpectedAnswer
	HTTPStatus
	Redirected
	CertificateExpired
	CertificateExpiresSoon
	CertificateNotValid
	EncryptionFailed
	TextBeyondLimit // the expected text may be after the part of the page that is read
	OutdatedZone    // an old copy of a DNS zone
	LoginRefused
)

// failurePhrases follow "it" or a list of cities: "it refused the connection".
var failurePhrases = map[FailureKind]string{
	OtherFailure:           "did not answer as expected",
	NoAnswer:               "did not answer",
	ConnectionRefused:      "refused the connection",
	ConnectionClosed:       "closed the connection",
	HostUnreachable:        "could not be reached",
	NameNotFound:           "could not be found by its name",
	Silent:                 "accepted the connection but did not answer",
	UnfinishedAnswer:       "did not finish its answer",
	UnexpectedAnswer:       "gave an unexpected answer",
	HTTPStatus:             "answered with an unexpected HTTP status",
	Redirected:             "redirected to another address",
	CertificateExpired:     "presented an expired certificate",
	CertificateExpiresSoon: "presented a certificate that expires soon",
	CertificateNotValid:    "presented a certificate that is not valid",
	EncryptionFailed:       "did not set up an encrypted connection",
	TextBeyondLimit:        "did not show the expected text in the first MiB of its page",
	OutdatedZone:           "served an outdated copy of the zone",
	LoginRefused:           "did not accept the login",
}

// Failure describes why a check failed without any text of the agent, the probed server or a peer: a kind from a
// closed list and, for HTTPStatus, a number from 100 to 599. It is comparable, so that failures can be counted.
type Failure struct {
	Kind   FailureKind
	Status int // for HTTPStatus only; zero otherwise
}

// String is the failure as a phrase that completes "it ...". All of its text is the mesh's own.
func (f Failure) String() string {
	phrase, known := failurePhrases[f.Kind]
	switch {
	case !known:
		return failurePhrases[OtherFailure]
	case f.Kind == HTTPStatus && isHTTPStatus(f.Status):
		return "answered with HTTP status " + strconv.Itoa(f.Status)
	}
	return phrase
}

func isHTTPStatus(n int) bool { return n >= 100 && n <= 599 }

// reasonPrefixes are the beginnings of the reasons that package probe writes, now and in earlier versions. What follows
// a prefix may be anybody's text and is ignored. Of two prefixes that match, the longer one counts.
var reasonPrefixes = map[string]FailureKind{
	"timeout": NoAnswer,

	"connection refused":                  ConnectionRefused,
	"refused":                             ConnectionRefused,
	"connection reset":                    ConnectionClosed,
	"closed without a banner":             ConnectionClosed,
	"closed without an answer":            ConnectionClosed,
	"hung: accepted and said nothing for": Silent,
	"hung: answer not finished after":     UnfinishedAnswer,
	"hung: body not finished after":       UnfinishedAnswer,
	"answer cut short":                    UnfinishedAnswer,
	"body cut short":                      UnfinishedAnswer,

	"host unreachable":             HostUnreachable,
	"network unreachable":          HostUnreachable,
	"network unknown":              HostUnreachable,
	"host unknown":                 HostUnreachable,
	"network prohibited":           HostUnreachable,
	"host prohibited":              HostUnreachable,
	"administratively prohibited":  HostUnreachable,
	"no route":                     HostUnreachable,
	"address unreachable":          HostUnreachable,
	"port unreachable":             HostUnreachable,
	"source address refused":       HostUnreachable,
	"route rejected":               HostUnreachable,
	"destination unreachable":      HostUnreachable,
	"name not found":               NameNotFound,
	"banner":                       UnexpectedAnswer,
	"body lacks":                   UnexpectedAnswer,
	"not in the first MiB":         TextBeyondLimit,
	"malformed answer":             UnexpectedAnswer,
	"answered":                     UnexpectedAnswer,
	"STARTTLS is not offered":      EncryptionFailed,
	"zone not in step":             OutdatedZone,
	"login refused":                LoginRefused,
	"redirects to":                 Redirected,
	"certificate expired":          CertificateExpired,
	"certificate expires in":       CertificateExpiresSoon,
	"certificate becomes valid in": CertificateNotValid,
	"certificate is for":           CertificateNotValid,
	"certificate not trusted":      CertificateNotValid,
	"TLS refused":                  EncryptionFailed,
	"TLS failed":                   EncryptionFailed,
	"does not speak TLS":           EncryptionFailed,
}

// ClassifyReason returns the failure that an agent's reason describes. Free text reaches the public only through it:
// the result contains nothing of the text but its kind and a checked number.
func ClassifyReason(reason string) Failure {
	if status, ok := statusOf(reason); ok {
		return Failure{Kind: HTTPStatus, Status: status}
	}
	if kind, ok := reasonPrefixes[reason]; ok { // most reasons, and no prefix is longer
		return Failure{Kind: kind}
	}
	longest, kind := 0, OtherFailure
	for prefix, k := range reasonPrefixes {
		if len(prefix) > longest && startsWith(reason, prefix) {
			longest, kind = len(prefix), k
		}
	}
	return Failure{Kind: kind}
}

// startsWith reports whether the text begins with the words of the prefix, not with a part of a longer word.
func startsWith(text, prefix string) bool {
	rest, ok := strings.CutPrefix(text, prefix)
	next, _ := utf8.DecodeRuneInString(rest)
	return ok && (rest == "" || !unicode.IsLetter(next) && !unicode.IsDigit(next))
}

// statusOf reads "status 503": exactly three digits in the range of HTTP, and nothing else.
func statusOf(reason string) (status int, ok bool) {
	digits, ok := strings.CutPrefix(reason, "status ")
	if !ok || len(digits) != 3 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	status, err := strconv.Atoi(digits)
	return status, err == nil && isHTTPStatus(status)
}

// Failure returns why the region votes bad: the failure that most of its bad edges report. If several are equally
// frequent, it is the one that reached that number first.
func (v RegionVote) Failure() Failure {
	counts := map[Failure]int{}
	best, most := ClassifyReason(v.Why), 0
	for _, e := range v.Edges {
		if e.Vote != Bad {
			continue
		}
		f := ClassifyReason(e.Reason)
		if counts[f]++; counts[f] > most {
			best, most = f, counts[f]
		}
	}
	return best
}
