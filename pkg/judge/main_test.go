package judge_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestMain checks properties with a quarter of the examples under the race detector, unless the command line says
// otherwise: the judge has no goroutine.
func TestMain(m *testing.M) {
	if testenv.Race {
		if err := flag.Set("rapid.checks", "25"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
