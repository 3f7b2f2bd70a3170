package node_test

import (
	"slices"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/blog"
	"github.com/probemesh/probemesh/pkg/blog/blogtest"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// A blog of 5,000 posts is read, imported and indexed, once. The test logs how long that took.
func TestFiveThousandPostsAreImported(t *testing.T) {
	testenv.RequireLong(t)
	data := blogtest.WXR(5000)
	run(t, config(t), func(client *admin.Client) {
		since := time.Now()
		export, err := blog.Parse(data)
		if err != nil || len(export.Posts) != 5000 {
			t.Fatal(len(export.Posts), err)
		}
		importAll := func() (added int) {
			for part := range slices.Chunk(export.Posts, 50) {
				var in editorial.Import
				for _, p := range part {
					in.Posts = append(in.Posts, editorial.Imported{Source: p.Source, Title: p.Title, Text: p.Text,
						Published: p.Published, Tags: p.Tags, Category: p.Category, Permalinks: p.Permalinks})
				}
				report, err := admin.ImportPosts(t.Context(), client, in)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range report.Posts {
					if d.Refused != "" {
						t.Fatal(d.Refused)
					}
					if !d.Known {
						added++
					}
				}
			}
			return added
		}
		added, took := importAll(), time.Since(since)
		if added != 5000 {
			t.Errorf("%d posts are imported", added)
		}
		t.Logf("%d posts in %s", added, took)
		if added := importAll(); added != 0 {
			t.Errorf("%d posts are imported again", added)
		}
	})
}
