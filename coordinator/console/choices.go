package console

import (
	"slices"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// choices are the options of the form by which a reader selects another matrix.
type choices struct {
	question
	Checks, Regions, Froms, Groups, Labels, Shows []option
}

type option struct {
	Value, Text string
	Chosen      bool
}

// At is the moment of the matrix, which the form passes on.
func (c choices) At() string { return c.at }

// optionsMax bounds the groups and the labels that a reader may choose: a label with a serial number has another value
// on each of a thousand hosts.
const optionsMax = 200

// newChoices lists what a reader may choose.
func newChoices(c *catalog.Catalog, q question) choices {
	out := choices{question: q}
	var checks, groups, labels offer
	checks.add(allPings)
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Checks {
			checks.add(h.Checks[k].Name)
		}
		if h.Group != "" {
			groups.add(h.Group)
		}
		for key, value := range h.Labels {
			labels.add(key + "=" + value)
		}
	}
	slices.Sort(labels.values)
	out.Checks = checks.options(q.check, catalog.ChecksMax)
	out.Groups, out.Labels = groups.options(q.group, optionsMax), labels.options(q.label, optionsMax)
	for _, r := range c.Regions {
		out.Regions = append(out.Regions, option{r.Name, sentence.City(c, r.Name), r.Name == q.region})
		out.Froms = append(out.Froms, option{r.Name, sentence.City(c, r.Name), r.Name == q.from})
	}
	for _, show := range []option{
		{Value: showRTT, Text: "round-trip time"}, {Value: showLoss, Text: "loss"}, {Value: showOutcome, Text: "outcome"},
	} {
		show.Chosen = show.Value == q.show
		out.Shows = append(out.Shows, show)
	}
	return out
}

// offer collects the values of one select element from the hosts, in the order in which they are listed.
type offer struct {
	values []string
	hosts  map[string]int // how many hosts have a value
}

func (o *offer) add(value string) {
	if o.hosts == nil {
		o.hosts = map[string]int{}
	}
	if o.hosts[value] == 0 {
		o.values = append(o.values, value)
	}
	o.hosts[value]++
}

// options returns the values as options. Of more than limit, it returns those that most hosts have, and the chosen one.
func (o *offer) options(chosen string, limit int) (out []option) {
	values := o.values
	if len(values) > limit {
		byHosts := slices.SortedStableFunc(slices.Values(values), func(a, b string) int { return o.hosts[b] - o.hosts[a] })
		offered := map[string]bool{chosen: true}
		for _, v := range byHosts[:limit] {
			offered[v] = true
		}
		values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !offered[v] })
	}
	for _, v := range values {
		out = append(out, option{v, v, v == chosen})
	}
	return out
}
