package blog_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/blog"
	"github.com/probemesh/probemesh/pkg/blog/blogtest"
	"github.com/probemesh/probemesh/pkg/markdown"
)

const header = `<?xml version="1.0" encoding="UTF-8" ?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:wp="http://wordpress.org/export/1.0/">
<channel><wp:wxr_version>1.0</wp:wxr_version>
`

// item is an item of an export with these elements, of a published post unless they say otherwise.
func item(elements string) string {
	out := "<item><title>NC036 is back</title><link>https://b.example.net/2020/09/21/back/</link>" +
		"<guid isPermaLink=\"false\">https://b.example.net/?p=7</guid>" + elements
	for name, value := range map[string]string{
		"wp:post_type": "post", "wp:status": "publish", "wp:post_date_gmt": "2020-09-21 07:26:54", "wp:post_id": "7",
		"content:encoded": "Text",
	} {
		if !strings.Contains(elements, "<"+name) {
			out += "<" + name + ">" + value + "</" + name + ">"
		}
	}
	return out + "</item>\n"
}

func parse(t *testing.T, items ...string) blog.Export {
	t.Helper()
	x, err := blog.Parse([]byte(header + strings.Join(items, "") + "</channel></rss>"))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestAnExportIsRead(t *testing.T) {
	x := parse(t, item(`<category domain="category" nicename="mail-server"><![CDATA[Mail server]]></category>
		<category domain="category" nicename="uncategorized">Uncategorized</category>
		<category domain="post_tag" nicename="ssl-certificate">SSL certificate</category>
		<category domain="post_tag" nicename="caf%c3%a9">Café</category>
		<wp:comment><wp:comment_id>1</wp:comment_id></wp:comment>
		<content:encoded><![CDATA[First <strong>line</strong>
and second.

A [link] <a href="https://example.net/" onclick="alert(1)">there</a>, 2*3*4 <script>alert(1)</script>
<img src="https://b.example.net/disk.png" alt="the disk" onerror="alert(1)">
<pre>a
b</pre>]]></content:encoded>`))
	want := blog.Post{
		Source: "https://b.example.net/?p=7", Title: "NC036 is back",
		Published: time.Date(2020, 9, 21, 7, 26, 54, 0, time.UTC), Category: "mail-server",
		Tags: []string{"ssl-certificate", "cafe"}, Permalinks: []string{"/2020/09/21/back", "?p=7"},
		Images: []string{"https://b.example.net/disk.png"},
	}
	if len(x.Posts) != 1 || x.LeftOut["comments"] != 1 {
		t.Fatalf("%+v", x)
	}
	got := x.Posts[0]
	page := markdown.HTML(got.Text, "")
	got.Text = ""
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, want := range []string{
		"First <strong>line</strong><br>\nand second.</p>", "A [link] <a href=\"https://example.net/\"", "2*3*4",
		`<a href="https://b.example.net/disk.png" rel="nofollow noopener">Image: the disk</a>`, "a\nb",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the text lacks %q: %s", want, page)
		}
	}
	if strings.Contains(page, "alert") {
		t.Errorf("the text has a script: %s", page)
	}
}

// What is no published post is counted and left out.
func TestWhatIsLeftOut(t *testing.T) {
	x := parse(t, item("<wp:status>draft</wp:status>"), item("<wp:status>private</wp:status>"),
		item("<wp:post_type>page</wp:post_type>"), item("<wp:post_type>attachment</wp:post_type>"),
		item("<wp:post_password>x</wp:post_password>"), item("<wp:status>future</wp:status>"), item(""),
		item("<wp:post_type>nav_menu_item</wp:post_type>"))
	want := map[string]int{"drafts": 1, "private posts": 1, "pages": 1, "attachments": 1, "posts with a password": 1,
		"scheduled posts": 1, "other items": 1}
	if d := cmp.Diff(want, x.LeftOut); d != "" || len(x.Posts) != 1 {
		t.Errorf("%d posts, %s", len(x.Posts), d)
	}
}

// Whatever an item has, the others are read.
func TestOddItemsDoNotStopAnImport(t *testing.T) {
	for name, odd := range map[string]string{
		"broken markup":       item("<content:encoded><p>a <b>c</p></content:encoded><title>x</titel>"),
		"an open element":     "<item><title>Open",
		"a CDATA end":         item("<content:encoded><![CDATA[a ]]]]><![CDATA[> b </item> c]]></content:encoded>"),
		"a CDATA without end": "<item><content:encoded><![CDATA[ never ends </content:encoded></item>",
		"control characters":  item("<content:encoded>a\x00\x08\x0bb\uFFFE</content:encoded>"),
		"no UTF-8":            item("<content:encoded>\xff\xfe</content:encoded>"),
		"an unknown entity":   item("<content:encoded>&nbsp;&unknown;&</content:encoded>"),
		"2 MB": item("<content:encoded><![CDATA[" + strings.Repeat("<div>word ", 200_000) +
			"]]></content:encoded>"),
		"no date":         item("<wp:post_date_gmt>0000-00-00 00:00:00</wp:post_date_gmt>"),
		"a date of words": item("<wp:post_date_gmt>yesterday</wp:post_date_gmt><pubDate>Wed, 30 Nov -0001</pubDate>"),
		"a long title":    item("<title>" + strings.Repeat("é", 5000) + "</title>"),
	} {
		since := time.Now()
		x := parse(t, item(""), odd, item("<wp:post_id>9</wp:post_id>"))
		if n := len(x.Posts); n < 2 && name != "a CDATA without end" || n < 1 {
			t.Errorf("%s: %d posts: %v %v", name, n, x.LeftOut, x.Notes)
		}
		for _, p := range x.Posts {
			if len(p.Text) > 64<<10 || len([]rune(p.Title)) > 200 || strings.ContainsAny(p.Title, "\r\n") {
				t.Errorf("%s: %d bytes, title %q", name, len(p.Text), p.Title)
			}
		}
		if took := time.Since(since); took > 10*time.Second {
			t.Errorf("%s takes %s", name, took)
		}
	}
}

func TestFeedsAreRead(t *testing.T) {
	for name, feed := range map[string]string{
		"RSS": `<rss version="2.0"><channel><title>B</title><item><title>NC036 is back</title>
			<guid>https://b.example.net/?p=7</guid>
			<link>https://b.example.net/2020/09/21/back/</link><pubDate>Mon, 21 Sep 2020 07:26:54 +0000</pubDate>
			<category>Mail</category><category>SMTP</category><description>&lt;b&gt;Text&lt;/b&gt;</description></item>
			</channel></rss>`,
		"Atom": `<feed xmlns="http://www.w3.org/2005/Atom"><title>B</title><entry><title>NC036 is back</title>
			<id>https://b.example.net/?p=7</id><link href="https://b.example.net/2020/09/21/back/"/><category term="Mail"/>
			<category term="SMTP"/><updated>2020-09-21T07:26:54Z</updated><content type="html">&lt;b&gt;Text&lt;/b&gt;</content>
			</entry></feed>`,
	} {
		x, err := blog.Parse([]byte(feed))
		if err != nil || len(x.Posts) != 1 {
			t.Fatal(name, err, x)
		}
		p := x.Posts[0]
		if p.Text != "**Text**" || p.Category != "mail" || !slices.Equal(p.Tags, []string{"smtp"}) ||
			!slices.Equal(p.Permalinks, []string{"/2020/09/21/back", "?p=7"}) || p.Published.Year() != 2020 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if _, err := blog.Parse([]byte("<html>no feed</html>")); err == nil {
		t.Error("a page is a feed")
	}
}

func TestRuns(t *testing.T) {
	at := time.Date(2025, 6, 11, 7, 54, 0, 0, time.UTC)
	var posts []blog.Post
	for n, title := range []string{
		"NC036: slow", "News", "NC036: update", "NC041: x", "NC036: post-mortem", "NC036: later",
	} {
		posts = append(posts, blog.Post{Title: title, Published: at.Add(time.Duration(n) * time.Hour)})
	}
	posts[5].Published = at.AddDate(0, 0, 3)
	runs := blog.Runs(posts, func(title string) string {
		host, _, ok := strings.Cut(title, ":")
		return map[bool]string{true: host}[ok]
	})
	if len(runs) != 1 || !slices.Equal(runs[0], []int{0, 2, 4}) {
		t.Error(runs)
	}
}

func TestFiveThousandPostsAreReadInSeconds(t *testing.T) {
	data := blogtest.WXR(5000)
	since := time.Now()
	x, err := blog.Parse(data)
	if err != nil || len(x.Posts) != 5000 || x.LeftOut["drafts"] != 50 || x.LeftOut["pages"] != 50 {
		t.Errorf("%d posts, %v (%v)", len(x.Posts), x.LeftOut, err)
	}
	t.Logf("%d MB in %s", len(data)>>20, time.Since(since))
}

func FuzzParse(f *testing.F) {
	f.Add(header + item("") + "</channel></rss>")
	f.Add(header + item("<content:encoded><![CDATA[<table><tr><td>a]]></content:encoded>"))
	f.Fuzz(func(t *testing.T, data string) {
		x, err := blog.Parse([]byte(data))
		for _, p := range x.Posts {
			if err != nil || len(p.Text) > 64<<10 || p.Title == "" || p.Published.IsZero() {
				t.Errorf("%q: %+v (%v)", data, p, err)
			}
		}
	})
}
