package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// ErrNoRoute reports that this machine has no route to the address: a fault of the agent's host, not of the target.
var ErrNoRoute = errors.New(mesh.ReasonNoRoute)

// NotPermittedError reports that this machine does not permit the probe.
type NotPermittedError struct {
	What string // what is not permitted, with the command that permits it
}

// Error begins with "not permitted: ".
func (e *NotPermittedError) Error() string { return mesh.ReasonNotPermitted + e.What }

// UnreachableError is an ICMP error that came back instead of an answer.
type UnreachableError struct {
	What   string     // "host unreachable", "port unreachable"
	Router netip.Addr // the sender of the error; the zero Addr when the kernel does not report it
}

// Error names the router where it is known.
func (e *UnreachableError) Error() string {
	if !e.Router.IsValid() {
		return e.What
	}
	return fmt.Sprintf("%s, says router %s", e.What, e.Router)
}

// classify turns the error of a Network into a Result. An error that it does not recognize is inconclusive, so that a
// fault of the agent is never counted for or against the target. The order matters: a more specific type may wrap a
// more general error, as a *net.DNSError wraps the context's.
func classify(err error) Result {
	var unreachable *UnreachableError
	var notPermitted *NotPermittedError
	var name *net.DNSError
	var noAddress *noAddressError
	switch {
	case errors.As(err, &noAddress):
		return inconclusive(noAddress.Error())
	case errors.As(err, &notPermitted):
		return inconclusive(notPermitted.Error())
	case errors.As(err, &name):
		return classifyName(name)
	case errors.Is(err, ErrNoRoute):
		return inconclusive(mesh.ReasonNoRoute)
	case errors.Is(err, context.Canceled):
		return inconclusive("cancelled")
	case errors.As(err, &unreachable):
		return Result{Outcome: mesh.Unreachable, Reason: unreachable.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, syscall.ETIMEDOUT):
		return Result{Outcome: mesh.Unreachable, Reason: "timeout"}
	}
	return classifyErrno(err)
}

// classifyName distinguishes a name that does not exist, which is the target's fault, from a resolver that fails,
// which is the agent's.
func classifyName(err *net.DNSError) Result {
	switch {
	case err.IsNotFound:
		return Result{}.fail("name not found")
	case err.IsTimeout:
		return inconclusive("the resolver is silent")
	}
	return inconclusive("the resolver fails: " + err.Err)
}

// classifyErrno classifies the kernel's own errors. A refusal or reset comes from the target and is definite; an
// "unreachable" may come from any router on the way and may be transient, so retries are worth their time.
func classifyErrno(err error) Result {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return inconclusive(err.Error())
	}
	switch errno {
	case syscall.ECONNREFUSED:
		return Result{}.fail("connection refused")
	case syscall.ECONNRESET:
		return Result{}.fail("connection reset")
	case syscall.EHOSTUNREACH, syscall.EHOSTDOWN:
		return Result{Outcome: mesh.Unreachable, Reason: "host unreachable"}
	case syscall.ENETUNREACH:
		return Result{Outcome: mesh.Unreachable, Reason: "network unreachable"}
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL:
		return inconclusive("no free socket")
	case syscall.EPERM, syscall.EACCES:
		return inconclusive(mesh.ReasonNotPermitted + "this machine's firewall or policy refuses the connection")
	}
	return inconclusive(errno.Error())
}

func inconclusive(reason string) Result { return Result{Outcome: mesh.Inconclusive, Reason: reason} }

// fail returns the result as a definite failure: the target answered, but not as the check requires. One re-check
// confirms such a result; retries for lost packets would not change it.
func (r Result) fail(reason string) Result {
	r.Outcome, r.Reason, r.Definite = mesh.Unreachable, reason, true
	return r
}

// reasonMax bounds a reason in characters. Two quoted texts and their explanation fit.
const reasonMax = 250

// clean bounds a reason and removes everything unprintable from it: parts of it come from servers, resolvers and
// routers, and it is shown on terminals.
func clean(reason string) string {
	letters := []rune(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, reason))
	if len(letters) > reasonMax {
		return string(letters[:reasonMax]) + "…"
	}
	return string(letters)
}

// quote returns a server's text in a form that is safe for terminals and logs: one line, bounded, printable.
func quote(text string) string { return strconv.Quote(truncate(text)) }

// serverText returns what the server of this probe sent as people may see it: it may repeat a secret of the check.
func (a *attempt) serverText(text string) string {
	if a.target.hasSecrets() {
		return "(not shown: the check has secrets)"
	}
	return text
}

// bounded is quote without the quotation marks.
func bounded(text string) string {
	quoted := quote(text)
	return quoted[1 : len(quoted)-1]
}

func truncate(text string) string {
	const most = 100 // characters: enough to recognize a banner or page, and several fit into one reason
	text = strings.ToValidUTF8(text, "\uFFFD")
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return text
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s" }

// largestUnit formats a duration in the largest unit that it fills: days, hours or minutes.
func largestUnit(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return mesh.Count(int(d/(24*time.Hour)), "day")
	case d >= time.Hour:
		return mesh.Count(int(d/time.Hour), "hour")
	}
	return mesh.Count(int(d/time.Minute), "minute")
}
