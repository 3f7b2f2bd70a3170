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

// CountOf writes how many of a number do something, with the verb in both forms: "1 of 8 regions votes",
// "2 of 8 regions vote", "0 of 1 region votes".
func CountOf(n, of int, noun, singular, plural string) string {
	return fmt.Sprintf("%d of %s %s", n, Count(of, noun), Verb(n, of, singular, plural))
}

// Verb returns the form of a verb whose subject is n of a number: "1 of 8 votes", "2 of 8 vote", "0 of 1 votes".
func Verb(n, of int, singular, plural string) string {
	if n == 1 || of == 1 {
		return singular
	}
	return plural
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
