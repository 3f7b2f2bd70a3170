package catalog

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Change is one difference between two catalogs.
type Change struct {
	Host  string `json:"host,omitempty"`  // as the newer catalog spells it
	Check string `json:"check,omitempty"` // empty where the host or the whole catalog is meant
	What  string `json:"what"`            // "added", "removed", "interval 10s, was 1m0s"
	Gone  bool   `json:"gone,omitempty"`  // a host or check that is no longer watched
	Look  bool   `json:"look,omitempty"`  // a check that is new, or asks something else: it starts as pending
	// Advice says that What is a sentence about what the operator may have meant otherwise, and no change.
	Advice bool `json:"advice,omitempty"`
}

// String returns the change as one line.
func (c Change) String() string {
	switch {
	case c.Host == "" || c.Advice:
		return c.What
	case c.Check == "":
		return c.Host + ": " + c.What
	}
	return c.Host + " " + c.Check + ": " + c.What
}

// Compare lists the differences of a new catalog from the old one, in the new one's order; what was removed comes
// last. A nil old catalog is an empty one.
func Compare(old, new *Catalog) []Change {
	if old == nil {
		old = &Catalog{
			Page: new.Page, Rule: new.Rule, SLA: new.SLA, Incidents: new.Incidents, Notify: new.Notify,
			Announce: new.Announce,
		}
	}
	var out []Change
	if !reflect.DeepEqual(old.Page, new.Page) {
		out = append(out, Change{What: "the page's title, address or links change"})
	}
	if old.Rule != new.Rule {
		out = append(out, Change{What: "the numbers of the rule change"})
	}
	if !reflect.DeepEqual(old.SLA.Or(), new.SLA.Or()) {
		out = append(out, Change{What: "the terms of the SLA change"})
	}
	if !reflect.DeepEqual(old.IncidentsOr(), new.IncidentsOr()) {
		out = append(out, Change{What: "how incidents are published, or their templates change"})
	}
	if !reflect.DeepEqual(old.Notify, new.Notify) {
		out = append(out, Change{What: "the notifications change"})
	}
	if !reflect.DeepEqual(old.Announce, new.Announce) {
		out = append(out, Change{What: "where incidents and posts are announced changes"})
	}
	out = append(out, compareRegions(old, new)...)
	back, forth := Pair(new, old), Pair(old, new)
	for i := range new.Hosts {
		h := &new.Hosts[i]
		out = append(out, compareHost(back, back.Host(h), h)...)
	}
	for i := range old.Hosts {
		if h := &old.Hosts[i]; forth.Host(h) == nil {
			out = append(out, Change{Host: h.Name, What: "removed", Gone: true})
		}
	}
	return out
}

func compareRegions(old, new *Catalog) []Change {
	var out []Change
	for _, r := range new.Regions {
		switch was := old.Region(r.Name); {
		case was == nil:
			out = append(out, Change{What: fmt.Sprintf("region %s: added", r.Name)})
		case !reflect.DeepEqual(*was, r):
			out = append(out, Change{What: fmt.Sprintf("region %s: changed", r.Name)})
		}
	}
	for _, r := range old.Regions {
		if new.Region(r.Name) == nil {
			out = append(out, Change{What: fmt.Sprintf("region %s: removed", r.Name)})
		}
	}
	return out
}

func compareHost(pairs *Pairing, old, new *Host) []Change {
	if old == nil {
		out := []Change{{Host: new.Name, What: "added"}}
		for _, c := range new.Checks {
			out = append(out, Change{Host: new.Name, Check: c.Name, What: "added", Look: true})
		}
		return out
	}
	var out []Change
	if old.Region != new.Region {
		out = append(out, Change{Host: new.Name, What: fmt.Sprintf("region %s, was %s", new.Region, old.Region)})
	}
	if old.Public != new.Public {
		out = append(out, Change{Host: new.Name, What: audienceChange(new.Public)})
	}
	if old.Key() != new.Key() {
		out = append(out, Change{Host: new.Name, What: "was " + old.Name})
	} else if old.Name != new.Name || old.Title != new.Title || old.Role != new.Role || old.Group != new.Group ||
		!reflect.DeepEqual(old.Labels, new.Labels) || !slices.Equal(old.Needs, new.Needs) {
		out = append(out, Change{Host: new.Name, What: "its spelling, title, role, group, labels or needs change"})
	}
	moved := !old.SameAddresses(new)
	if moved {
		out = append(out, Change{Host: new.Name, What: fmt.Sprintf("address %v, was %v", new.Addresses, old.Addresses)})
	}
	stays := map[*Check]bool{}
	for i := range new.Checks {
		was := pairs.Check(new, old, &new.Checks[i])
		stays[was] = true
		out = append(out, compareCheck(new, was, &new.Checks[i], moved)...)
	}
	for i := range old.Checks {
		if c := &old.Checks[i]; !stays[c] {
			out = append(out, Change{Host: new.Name, Check: c.Name, What: "removed", Gone: true})
		}
	}
	return out
}

// audienceChange says that a host or check is public now, or internal.
func audienceChange(public bool) string {
	if public {
		return "public, was internal"
	}
	return "internal, was public"
}

// compareCheck reports one change at most: the one with the largest consequence.
func compareCheck(h *Host, old, new *Check, moved bool) []Change {
	change := Change{Host: h.Name, Check: new.Name}
	switch {
	case old == nil:
		change.What, change.Look = "added", true
	case !old.SameQuestion(new):
		change.What, change.Look = "asks something else", true
	case moved:
		change.What, change.Look = "asked at another address", true
	case !slices.Equal(old.Except, new.Except):
		change.What = exceptChange(old.Except, new.Except)
	case old.Interval != new.Interval:
		change.What = fmt.Sprintf("interval %v, was %v",
			new.Interval.Round(time.Millisecond), old.Interval.Round(time.Millisecond))
	case old.Internal != new.Internal:
		change.What = audienceChange(!new.Internal)
	case !slices.Equal(old.Families, new.Families):
		change.What = fmt.Sprintf("address families %v, were %v", new.Families, old.Families)
	case !reflect.DeepEqual(old.Secrets, new.Secrets):
		change.What = "the value of a secret changes"
	case old.Name != new.Name:
		change.What = "was " + old.Name
	case !old.sameSettings(new):
		change.What = "its settings change"
	default:
		return nil
	}
	return []Change{change}
}

func exceptChange(old, new []string) string {
	was := ", none did before"
	if len(old) > 0 {
		was = ", was " + strings.Join(old, ", ")
	}
	if len(new) == 0 {
		return "no region leaves it out" + was
	}
	return "left out by " + strings.Join(new, ", ") + was
}

// sameSettings compares everything but what identifies the check.
func (c *Check) sameSettings(other *Check) bool {
	a, b := *c, *other
	a.ID, a.Was, b.ID, b.Was = "", "", "", ""
	return reflect.DeepEqual(a, b)
}
