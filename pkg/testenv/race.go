//go:build race

package testenv

// Race reports that the race detector is on. It makes code several times as slow and as large, so that tests then do
// less of what only repeats, and check neither memory nor speed.
const Race = true
