package mesh

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Count writes a number with its noun, which is regular and given in the singular: "1 region", "2 regions",
// "3 batches", "0 entries". Every sentence for people that has a number in it uses it.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + Plural(noun)
}

// Plural returns the plural of a regular noun.
func Plural(noun string) string {
	for _, hissing := range []string{"s", "x", "z", "ch", "sh"} {
		if strings.HasSuffix(noun, hissing) {
			return noun + "es"
		}
	}
	stem, ok := strings.CutSuffix(noun, "y")
	if ok && stem != "" && !strings.ContainsAny(stem[len(stem)-1:], "aeiou") {
		return stem + "ies"
	}
	return noun + "s"
}

// Span writes a time of seconds at most: "0.4 ms", "29.1 ms", "103 ms", "-12.0 ms", "1.25 s".
func Span(d time.Duration) string {
	switch ms := d.Seconds() * 1000; {
	case d == 0:
		return "0 ms"
	case d.Abs() >= 999500*time.Microsecond:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d.Abs() >= 99950*time.Microsecond:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f ms", ms)
	}
}
