package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// serversWith returns which of the cluster's servers have the text in a file, and in how many.
func serversWith(t *testing.T, nodes, text string) map[string]int {
	t.Helper()
	out := map[string]int{}
	err := filepath.WalkDir(nodes, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) { // a server removed it meanwhile
				return nil
			}
			return err
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if bytes.Contains(data, []byte(text)) {
			server, _, _ := strings.Cut(strings.TrimPrefix(path, nodes+"/"), "/")
			out[server]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestErasureOnACluster removes a post whose texts three servers have. The removal says that their logs still have
// them, and so does `status`, until no file of any server does. Only then is it said to be erased. The other post
// stays.
func TestErasureOnACluster(t *testing.T) {
	testenv.RequireLong(t)
	t.Parallel() // it waits for minutes
	data := shortDir(t)
	nodes, urls, _ := startCluster(t, data)
	_, stop := runOn(t, data, urls)
	defer stop()
	client := admin.NewClient(data)
	const mark, kept = "Zvezda-in-the-log", "Altair-in-the-log"
	publish := func(text string) string {
		t.Helper()
		d := editorial.Draft{Title: text, Text: strings.Repeat(text+" ", 2000)}
		id, err := client.PublishPost(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	id := publish(mark)
	publish(kept)
	// A text is stored once two of the three servers have it.
	for end := time.Now().Add(time.Minute); len(serversWith(t, nodes, mark)) != 3; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("before the removal the text is on %v", serversWith(t, nodes, mark))
		}
	}
	removal, err := client.RemovePost(t.Context(), id)
	if err != nil || removal.Pending || !removal.Replicated {
		t.Fatalf("%+v %v", removal, err)
	}
	if found := serversWith(t, nodes, mark); len(found) == 0 {
		t.Fatal("no log has the text: this test proves nothing")
	}
	warned := func() bool {
		state, err := client.State(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(strings.Join(state.Problems, "\n"), "NATS servers' logs")
	}
	if !warned() {
		t.Error("status does not say that logs have the text")
	}
	began := time.Now()
	for removal.Replicated {
		if time.Since(began) > 8*time.Minute {
			t.Fatalf("never erased: it is on %v", serversWith(t, nodes, mark))
		}
		time.Sleep(time.Second)
		if removal, err = client.RemovePost(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("erased after %s", time.Since(began).Round(time.Second))
	if found := serversWith(t, nodes, mark); len(found) > 0 {
		t.Errorf("it is said to be erased and is on %v", found)
	}
	if warned() {
		t.Error("status still says that logs have the text")
	}
	if found := serversWith(t, nodes, kept); len(found) != 3 {
		t.Errorf("the other post's text is on %v", found)
	}
}
