package demo

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Fault is one thing that is broken.
type Fault struct {
	ID     string  `json:"id"`
	Fault  string  `json:"fault"`            // service, freeze, cut or loss
	Host   string  `json:"host,omitempty"`   // of service and freeze; of loss, where it is one host's
	Check  string  `json:"check,omitempty"`  // of service
	Region string  `json:"region,omitempty"` // of cut; of loss, where it is one region's
	Loss   float64 `json:"loss,omitempty"`   // of loss: the share of packets, 0 to 1
}

// The kinds of faults.
const (
	faultService = "service"
	faultFreeze  = "freeze"
	faultCut     = "cut"
	faultLoss    = "loss"
)

// String is the fault in words.
func (f Fault) String() string {
	switch f.Fault {
	case faultService:
		return fmt.Sprintf("%s: %s is stopped", f.Host, f.Check)
	case faultFreeze:
		return f.Host + " is frozen: nothing goes in or out"
	case faultCut:
		return f.Region + " is cut off from the other regions and from the coordinator"
	}
	where := "everywhere"
	if f.Host != "" {
		where = "to and from " + f.Host
	} else if f.Region != "" {
		where = "to and from " + f.Region
	}
	return fmt.Sprintf("%.0f %% of packets are lost %s", 100*f.Loss, where)
}

// check says what is wrong with a fault that somebody asks for.
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
			return fmt.Errorf("host %q has no service for the check %q; say host and check", f.Host, f.Check)
		}
	case faultFreeze:
		if f.Host == "" {
			return errors.New("freeze wants a host")
		}
	case faultCut:
		if f.Region == "" {
			return errors.New("cut wants a region")
		}
	case faultLoss:
		if !(f.Loss > 0 && f.Loss <= 1) {
			return errors.New("loss wants the share of packets, more than 0 and at most 1: 0.2")
		}
	default:
		return fmt.Errorf("%q is not a fault; the faults are service, freeze, cut and loss", f.Fault)
	}
	return nil
}

const faultsMax = 100

// Break breaks something and returns its id.
func (d *Demo) Break(f Fault) (id string, err error) {
	if err := d.check(f); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.faults) >= faultsMax {
		return "", fmt.Errorf("%d things are broken already: mend some first", faultsMax)
	}
	d.lastID++
	f.ID = strconv.Itoa(d.lastID)
	if f.Fault == faultService {
		d.services[serviceKey{mesh.Key(f.Host), f.Check}].stop()
	}
	d.faults = append(d.faults, f)
	d.wan.setFaults(d.faults)
	return f.ID, nil
}

// errNoFault says that there is no such fault.
var errNoFault = errors.New("there is no such fault")

// Mend mends the fault with this id; all of them where id is empty.
func (d *Demo) Mend(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var left, gone []Fault
	for _, f := range d.faults {
		if id == "" || f.ID == id {
			gone = append(gone, f)
		} else {
			left = append(left, f)
		}
	}
	if id != "" && len(gone) == 0 {
		return errNoFault
	}
	d.faults = left
	d.wan.setFaults(left)
	var errs []error
	for _, f := range gone {
		same := func(o Fault) bool { return o.Fault == faultService && o.Host == f.Host && o.Check == f.Check }
		if f.Fault == faultService && !slices.ContainsFunc(left, same) {
			errs = append(errs, d.services[serviceKey{mesh.Key(f.Host), f.Check}].start())
		}
	}
	return errors.Join(errs...)
}

// Faults are what is broken now.
func (d *Demo) Faults() []Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.faults)
}
