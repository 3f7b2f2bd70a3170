package demo

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Fault is one thing that is broken. Scripts post it as JSON to /demo/faults.
type Fault struct {
	ID     string  `json:"id"`
	Fault  string  `json:"fault"`            // service, freeze, cut, loss, expire, stale, greylist or refuse
	Host   string  `json:"host,omitempty"`   // of all but cut; of loss, where it is one host's
	Check  string  `json:"check,omitempty"`  // of service, expire, stale, greylist and refuse
	Region string  `json:"region,omitempty"` // of cut; of loss, where it is one region's
	Loss   float64 `json:"loss,omitempty"`   // of loss: the share of packets, 0 to 1
}

// The kinds of faults.
const (
	faultService = "service" // a service is stopped: its port refuses connections
	faultFreeze  = "freeze"  // a host neither sends nor receives
	faultCut     = "cut"     // a region reaches nothing outside of itself
	faultLoss    = "loss"    // packets are lost

	// Of one service, which answers otherwise.
	faultExpire   = "expire"   // its certificate has ended
	faultStale    = "stale"    // its zone is an old copy
	faultGreylist = "greylist" // it asks senders to come back later
	faultRefuse   = "refuse"   // it refuses logins
)

// answerFaults are the faults of a service that answers otherwise, and the kinds of checks that notice them.
var answerFaults = map[string][]string{
	faultExpire:   {catalog.KindSMTP, catalog.KindIMAP},
	faultStale:    {catalog.KindDNS},
	faultGreylist: {catalog.KindSMTP},
	faultRefuse:   {catalog.KindIMAP, catalog.KindPOP3},
}

// suits reports whether the check notices the fault of its service.
func suits(fault string, check *catalog.Check) bool {
	if !slices.Contains(answerFaults[fault], check.Kind) {
		return false
	}
	session, _ := catalog.MailSessionOf(check.Options)
	switch o := check.Options.(type) {
	case catalog.SMTP:
		return fault == faultExpire && o.StartTLS || fault == faultGreylist && o.RcptTo != ""
	case catalog.DNS:
		return o.SOA != ""
	}
	return fault != faultExpire || session.StartTLS
}

// String describes the fault for the panel.
func (f Fault) String() string {
	switch f.Fault {
	case faultService:
		return fmt.Sprintf("%s: %s is stopped", f.Host, f.Check)
	case faultFreeze:
		return f.Host + " is frozen: it neither sends nor receives"
	case faultCut:
		return f.Region + " is cut off from the other regions and from the coordinator"
	case faultExpire:
		return fmt.Sprintf("%s: the certificate of %s has expired", f.Host, f.Check)
	case faultStale:
		return f.Host + " serves an old copy of its zone"
	case faultGreylist:
		return fmt.Sprintf("%s: %s greylists its senders", f.Host, f.Check)
	case faultRefuse:
		return fmt.Sprintf("%s: %s refuses logins", f.Host, f.Check)
	}
	where := "everywhere"
	if f.Host != "" {
		where = "to and from " + f.Host
	} else if f.Region != "" {
		where = "to and from " + f.Region
	}
	return fmt.Sprintf("%.0f %% of packets are lost %s", 100*f.Loss, where)
}

// check returns what is wrong with a fault that a client posted.
func (d *Demo) check(f Fault) error {
	if f.Host != "" && d.catalog.Host(mesh.Key(f.Host)) == nil {
		return fmt.Errorf("there is no host %q", f.Host)
	}
	if f.Region != "" && d.catalog.Region(f.Region) == nil {
		return fmt.Errorf("there is no region %q", f.Region)
	}
	switch f.Fault {
	case faultService:
		if d.services[serviceKey{mesh.Key(f.Host), f.Check}] == nil {
			return fmt.Errorf("host %q has no service for the check %q: name one of its checks", f.Host, f.Check)
		}
	case faultFreeze:
		if f.Host == "" {
			return errors.New("freeze needs a host")
		}
	case faultCut:
		if f.Region == "" {
			return errors.New("cut needs a region")
		}
	case faultLoss:
		if !(f.Loss > 0 && f.Loss <= 1) {
			return errors.New("loss needs the share of lost packets, more than 0 and at most 1, as in 0.2")
		}
	case faultExpire, faultStale, faultGreylist, faultRefuse:
		check := d.checkOf(f)
		if check == nil || !suits(f.Fault, check) {
			return fmt.Errorf("host %q has no check %q that notices the fault %s", f.Host, f.Check, f.Fault)
		}
	default:
		return fmt.Errorf("%q is not a fault; the faults are service, freeze, cut, loss, expire, stale, greylist and refuse",
			f.Fault)
	}
	return nil
}

// checkOf returns the check that the fault names, or nil.
func (d *Demo) checkOf(f Fault) *catalog.Check {
	if h := d.catalog.Host(mesh.Key(f.Host)); h != nil {
		return h.Check(f.Check)
	}
	return nil
}

// applyAnswers makes the services answer as the faults say. The caller holds mu.
func (d *Demo) applyAnswers() {
	for key, s := range d.services {
		for fault := range answerFaults {
			on := slices.ContainsFunc(d.faults, func(f Fault) bool {
				named := d.services[serviceKey{mesh.Key(f.Host), f.Check}]
				return f.Fault == fault && mesh.Key(f.Host) == key.host && named == s
			})
			s.manners.set(fault, on)
			if fault == faultStale {
				d.zone.freeze(s.manners, on)
			}
		}
	}
}

// faultsMax bounds the faults at a time. The panel is open to everybody who reaches the demo.
const faultsMax = 100

// Break adds a fault and returns its id.
func (d *Demo) Break(f Fault) (id string, err error) {
	if err := d.check(f); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.faults) >= faultsMax {
		return "", fmt.Errorf("there are %d faults already: mend some first", faultsMax)
	}
	d.lastID++
	f.ID = strconv.Itoa(d.lastID)
	if f.Fault == faultService {
		d.services[serviceKey{mesh.Key(f.Host), f.Check}].stop()
	}
	d.faults = append(d.faults, f)
	d.wan.setFaults(d.faults)
	d.applyAnswers()
	return f.ID, nil
}

// errNoFault is returned by Mend for an unknown id.
var errNoFault = errors.New("there is no such fault")

// Mend removes the fault with this id, or all faults if id is empty. A service starts again when no other fault stops
// it.
func (d *Demo) Mend(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var left, removed []Fault
	for _, f := range d.faults {
		if id == "" || f.ID == id {
			removed = append(removed, f)
		} else {
			left = append(left, f)
		}
	}
	if id != "" && len(removed) == 0 {
		return errNoFault
	}
	d.faults = left
	d.wan.setFaults(left)
	d.applyAnswers()
	var errs []error
	for _, f := range removed {
		same := func(o Fault) bool { return o.Fault == faultService && o.Host == f.Host && o.Check == f.Check }
		if f.Fault == faultService && !slices.ContainsFunc(left, same) {
			errs = append(errs, d.services[serviceKey{mesh.Key(f.Host), f.Check}].start())
		}
	}
	return errors.Join(errs...)
}

// Faults lists what is broken now, oldest first.
func (d *Demo) Faults() []Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.faults)
}
