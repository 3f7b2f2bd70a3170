package console

import "testing"

func TestSizesHaveThreeDigits(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 47: "47 B", 1034: "1.01 KiB", 1010 << 10: "0.986 MiB", 252 << 30: "252 GiB",
	} {
		if got := formatSize(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
}
