package wire

import (
	"encoding/json"
	"strconv"
)

// readBatch reads the body of a batch as encoding/json does, and much faster where it is written as EncodeBatch writes
// it: without spaces, and with the fields in the order of the structures. Every replay reads each batch again, so that
// this is most of what a jump into the past costs.
func readBatch(data []byte) (*batch, error) {
	c := cursor{data: data}
	if in := c.batch(); !c.failed && c.at == len(data) {
		return in, nil
	}
	in := new(batch)
	err := json.Unmarshal(data, in)
	return in, err
}

// cursor reads a batch as EncodeBatch writes it. It fails at anything else, and encoding/json reads the batch instead.
type cursor struct {
	data   []byte
	at     int
	opened bool // the next field is the first of its object
	failed bool
}

func (c *cursor) batch() *batch {
	in := new(batch)
	c.open()
	if c.field(`"v":`) {
		in.V = int(c.number())
	}
	if c.field(`"a":`) {
		in.Agent = c.text()
	}
	if c.field(`"e":`) {
		in.Epoch = c.quotedCount()
	}
	if c.field(`"n":`) {
		in.Sequence = c.count()
	}
	if c.field(`"c":`) {
		in.Revision = c.text()
	}
	if c.field(`"ver":`) {
		in.Version = c.text()
	}
	if c.field(`"w":`) {
		in.Wall = c.number()
	}
	c.report(in)
	if c.field(`"o":`) {
		in.Observations = c.observations()
	}
	if c.field(`"gossip":`) {
		c.object(&in.Gossip)
	}
	c.expect('}')
	return in
}

// report reads the fields about the agent itself, which most batches do not have.
func (c *cursor) report(in *batch) {
	if c.field(`"lag":`) {
		in.Lag = c.number()
	}
	if c.field(`"q":`) {
		in.Queued = int(c.number())
	}
	if c.field(`"d":`) {
		in.Dropped = c.count()
	}
	if c.field(`"so":`) {
		in.SpoolOff = c.text()
	}
	if c.field(`"af":`) {
		in.AnchorsFail = c.yes()
	}
	if c.field(`"cr":`) {
		c.object(&in.Refusal)
	}
}

// observationBytes is what most observations take at least.
const observationBytes = 64

func (c *cursor) observations() []observation {
	c.expect('[')
	all := make([]observation, 0, min(len(c.data)/observationBytes, ObservationsMax))
	for !c.failed && c.next() != ']' {
		if len(all) > 0 {
			c.expect(',')
		}
		all = append(all, observation{})
		c.observation(&all[len(all)-1])
	}
	c.expect(']')
	return all
}

func (c *cursor) observation(o *observation) {
	c.open()
	if c.field(`"h":`) {
		o.Host = c.text()
	}
	if c.field(`"k":`) {
		o.Check = c.text()
	}
	if c.field(`"f":`) {
		family := c.number()
		o.Family = uint8(family)
		c.failed = c.failed || int64(o.Family) != family
	}
	if c.field(`"t":`) {
		o.Began = c.number()
	}
	if c.field(`"el":`) {
		o.Elapsed = c.number()
	}
	if c.field(`"r":`) {
		o.RTT = c.number()
	}
	if c.field(`"s":`) {
		o.Outcome = c.text()
	}
	if c.field(`"m":`) {
		o.Missed = c.yes()
	}
	if c.field(`"l":`) {
		o.Round = c.count()
	}
	c.evidence(o)
	c.expect('}')
}

// evidence reads the counts and the texts of an observation.
func (c *cursor) evidence(o *observation) {
	if c.field(`"p":`) {
		o.Sent = int(c.number())
	}
	if c.field(`"x":`) {
		o.Lost = int(c.number())
	}
	if c.field(`"y":`) {
		o.Reason = c.text()
	}
	if c.field(`"ip":`) {
		o.Address = c.text()
	}
	if c.field(`"en":`) {
		c.object(&o.Expiry)
	}
	if c.field(`"ph":`) {
		o.Phases = c.numbers()
	}
}

// next returns the next byte, or 0 at the end.
func (c *cursor) next() byte {
	if c.at < len(c.data) {
		return c.data[c.at]
	}
	return 0
}

// expect moves past this byte.
func (c *cursor) expect(b byte) {
	if c.next() != b {
		c.failed = true
	}
	c.at++
	c.opened = false
}

func (c *cursor) open() {
	c.expect('{')
	c.opened = true
}

// field moves to the value of the next field if its name is this one, in quotes and with its colon.
func (c *cursor) field(name string) bool {
	at := c.at
	if c.failed {
		return false
	}
	if !c.opened {
		if c.next() != ',' {
			return false
		}
		at++
	}
	if end := at + len(name); end > len(c.data) || string(c.data[at:end]) != name {
		return false
	}
	c.at, c.opened = at+len(name), false
	return true
}

// digitsMax is of a number that surely fits into 64 bits.
const digitsMax = 18

// count reads a whole number of zero or more.
func (c *cursor) count() (n uint64) {
	began := c.at
	for '0' <= c.next() && c.next() <= '9' {
		n = 10*n + uint64(c.next()-'0')
		c.at++
	}
	digits := c.at - began
	if digits == 0 || digits > digitsMax || digits > 1 && c.data[began] == '0' {
		c.failed = true
	}
	switch c.next() {
	case ',', '}', ']', '"': // anything else may belong to the number
	default:
		c.failed = true
	}
	return n
}

func (c *cursor) number() int64 {
	if c.next() != '-' {
		return int64(c.count())
	}
	c.at++
	return -int64(c.count())
}

func (c *cursor) quotedCount() uint64 {
	c.expect('"')
	n := c.count()
	c.expect('"')
	return n
}

func (c *cursor) numbers() []int64 {
	c.expect('[')
	all := make([]int64, 0, 4)
	for !c.failed && c.next() != ']' {
		if len(all) > 0 {
			c.expect(',')
		}
		all = append(all, c.number())
	}
	c.expect(']')
	return all
}

// yes reads true. False is left out when it is written.
func (c *cursor) yes() bool {
	for _, b := range []byte(strconv.FormatBool(true)) {
		c.expect(b)
	}
	return !c.failed
}

// text reads a string, mostly one without escapes.
func (c *cursor) text() string {
	began := c.at
	c.expect('"')
	for !c.failed {
		switch b := c.next(); {
		case b == '"':
			c.at++
			return string(c.data[began+1 : c.at-1])
		case b == '\\' || b >= 0x80:
			var s string
			c.decode(&s, began, c.endOfText())
			return s
		case b < ' ':
			c.failed = true
		}
		c.at++
	}
	return ""
}

// endOfText moves past the end of the string that the cursor is in.
func (c *cursor) endOfText() int {
	for c.at < len(c.data) {
		switch c.data[c.at] {
		case '\\':
			c.at++
		case '"':
			c.at++
			return c.at
		}
		c.at++
	}
	c.failed = true
	return len(c.data)
}

// object reads an object that few batches have into v.
func (c *cursor) object(v any) {
	began, depth := c.at, 0
	c.expect('{')
	for depth = 1; depth > 0 && !c.failed; {
		b := c.next()
		c.failed = c.failed || c.at >= len(c.data)
		c.at++
		switch b {
		case '"':
			c.endOfText()
		case '{':
			depth++
		case '}':
			depth--
		}
	}
	c.decode(v, began, c.at)
}

// decode reads a part of the data by encoding/json.
func (c *cursor) decode(v any, from, to int) {
	if !c.failed && json.Unmarshal(c.data[from:to], v) != nil {
		c.failed = true
	}
}
