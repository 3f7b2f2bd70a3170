package errkind_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/probemesh/probemesh/pkg/errkind"
)

func TestAKindSurvivesWrapping(t *testing.T) {
	unknown := errkind.New(errkind.NotFound, "no such host")
	wrapped := fmt.Errorf("nc036: %w", unknown)
	if errkind.Of(wrapped) != errkind.NotFound || !errors.Is(wrapped, unknown) ||
		wrapped.Error() != "nc036: no such host" {
		t.Error(errkind.Of(wrapped), wrapped)
	}
	if again := errkind.Wrap(errkind.Invalid, wrapped); errkind.Of(again) != errkind.Invalid ||
		!errors.Is(again, unknown) {
		t.Error("the outermost kind counts:", errkind.Of(again))
	}
	if errkind.Wrap(errkind.Invalid, nil) != nil {
		t.Error("nil is no failure")
	}
	if k := errkind.Of(errors.New("x")); k != errkind.Internal {
		t.Error(k)
	}
	if k := errkind.Of(fmt.Errorf("read: %w", context.DeadlineExceeded)); k != errkind.Unavailable {
		t.Error(k)
	}
}
