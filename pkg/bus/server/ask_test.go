package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
)

// One agent floods the coordinator with questions, and each answer takes time. Another agent's first question is
// answered.
func TestAFloodOfQuestionsStarvesNobody(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Close()
	c := lead(t, s)
	ready := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.AnswerCatalog(ctx, ready, func(string, *bus.SealKey) []byte {
			time.Sleep(20 * time.Millisecond)
			return []byte("the catalog")
		})
	}()
	<-ready
	defer func() { cancel(); <-ended }()
	other := dialAgent(t, s, "nc041")
	if _, err := other.Catalog(t.Context(), bus.SealKey{1}); err != nil {
		t.Fatal(err)
	}
	id := issue(t, s, "nc036")
	hostile := rawConn(t, s, &id, "nc036")
	for range 1500 {
		if err := hostile.PublishRequest(bus.SubjectAsk+"nc036", "_INBOX_nc036.1", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := hostile.Flush(); err != nil {
		t.Fatal(err)
	}
	waits, stop := context.WithTimeout(t.Context(), time.Minute) // it is asked once
	defer stop()
	if _, err := other.Catalog(waits, bus.SealKey{1}); err != nil {
		t.Error("another agent's question was dropped:", err)
	}
}
