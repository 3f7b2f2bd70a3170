package judge

import (
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// A refused connection is an answer: the step says what failed.
func TestAFirstMissSaysWhatFailed(t *testing.T) {
	o := mesh.Observation{Stage: mesh.Missed, Outcome: mesh.Unreachable, Reason: "connection refused"}
	if got := describeProbe(o); !strings.HasSuffix(got, "the first probe failed: connection refused; it probes again") {
		t.Error(got)
	}
	o.Reason = ""
	if got := describeProbe(o); !strings.HasSuffix(got, "no answer to the first probe yet; it probes again") {
		t.Error(got)
	}
}
