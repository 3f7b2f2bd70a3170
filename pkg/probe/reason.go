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

// ErrNoRoute says that this machine has no route to the address: our fault, not the host's.
var ErrNoRoute = errors.New(mesh.ReasonNoRoute)

// NotPermittedError says that this machine does not permit the probe, and what would.
type NotPermittedError struct {
	What string // in words, with the command that permits it
}

// Error begins with "not permitted: ".
func (e *NotPermittedError) Error() string { return mesh.ReasonNotPermitted + e.What }

// UnreachableError is an ICMP error that came back instead of an answer.
type UnreachableError struct {
	What   string     // "host unreachable", "port unreachable"
	Router netip.Addr // who said so; the zero Addr when the kernel does not tell
}

// Error names the router where it is known.
func (e *UnreachableError) Error() string {
	if !e.Router.IsValid() {
		return e.What
	}
	return fmt.Sprintf("%s, says router %s", e.What, e.Router)
}

// classify turns the error of a Network into a finding. What it does not know is inconclusive: never taken for good or bad.
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
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return Result{Outcome: mesh.Unreachable, Reason: "timeout"}
	}
	return classifyErrno(err)
}

// classifyName tells a name that does not exist, which is the host's fault, from a resolver that fails us.
func classifyName(err *net.DNSError) Result {
	switch {
	case err.IsNotFound:
		return Result{}.bad("name not found")
	case err.IsTimeout:
		return inconclusive("the resolver is silent")
	}
	return inconclusive("the resolver fails: " + err.Err)
}

func classifyErrno(err error) Result {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return inconclusive(err.Error())
	}
	switch errno {
	case syscall.ECONNREFUSED:
		return Result{}.bad("connection refused")
	case syscall.ECONNRESET:
		return Result{}.bad("connection reset")
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

// bad is a result that is definitely not what the check asks: an answer, which a re-check confirms and retries would not change.
func (r Result) bad(reason string) Result {
	r.Outcome, r.Reason, r.Definite = mesh.Unreachable, reason, true
	return r
}

// reasonMax bounds a reason in letters.
const reasonMax = 250

// clean bounds a reason and leaves only printable letters in it: parts of it are what servers, resolvers and routers
// sent, and it is shown on terminals.
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

// quote shows what a server said: one line, bounded, printable.
func quote(said string) string { return strconv.Quote(cut(said)) }

// bounded is quote without the quotation marks.
func bounded(said string) string { return strings.Trim(quote(said), `"`) }

func cut(said string) string {
	const most = 100
	said = strings.ToValidUTF8(said, "\uFFFD")
	if utf8.RuneCountInString(said) > most {
		said = string([]rune(said)[:most]) + "…"
	}
	return said
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s" }

// ago is a length of time in the largest unit that it fills.
func ago(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return count(int(d/(24*time.Hour)), "day")
	case d >= time.Hour:
		return count(int(d/time.Hour), "hour")
	}
	return count(int(d/time.Minute), "minute")
}

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}
