package markdown_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/probemesh/probemesh/pkg/markdown"
)

// What people use is rendered; what could run, load or restyle anything is shown as text or is gone.
func TestHTML(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"a paragraph", "Mail *works* **again**.", "<p>Mail <em>works</em> <strong>again</strong>.</p>"},
		{"a line break", "one\ntwo", "<p>one<br>\ntwo</p>"},
		{"a heading", "# Cause", "<h3>Cause</h3>"},
		{"a link", "[the list](https://example.net/a?b=c&d)",
			`<p><a href="https://example.net/a?b=c&amp;d" rel="nofollow noopener">the list</a></p>`},
		{"a link of the site", "[before](/posts/a1)", `<p><a href="/posts/a1" rel="nofollow noopener">before</a></p>`},
		{"a bare link", "See https://example.net/x.", `<p>See <a href="https://example.net/x" rel="nofollow noopener">` +
			`https://example.net/x</a>.</p>`},
		{"an address", "<noc@example.net>",
			`<p><a href="mailto:noc@example.net" rel="nofollow noopener">noc@example.net</a></p>`},
		{"an image", "![the disk](https://example.net/d.png)",
			`<p><a href="https://example.net/d.png" rel="nofollow noopener">Image: the disk</a></p>`},
		{"an image in a link", "[![graph](https://a.net/g.png)](https://a.net/)",
			`<p><a href="https://a.net/" rel="nofollow noopener">graph</a></p>`},
		{"words in angle brackets", "<host> is down", "<p>&lt;host&gt; is down</p>"},
		{"a script", "<script>alert(1)</script>", "<pre>&lt;script&gt;alert(1)&lt;/script&gt;</pre>"},
		{"a script within a line", "a <script>alert(1)</script>", "<p>a &lt;script&gt;alert(1)&lt;/script&gt;</p>"},
		{"a picture that runs code", `<img src=x onerror=alert(1)>`, "<pre>&lt;img src=x onerror=alert(1)&gt;</pre>"},
		{"a script address", "[x](javascript:alert(1))", "<p>x</p>"},
		{"a disguised script address", "[x](java&#10;script:alert(1)) [y](JaVaScRiPt:1)", "<p>x y</p>"},
		{"a data address", "[x](data:text/html,<script>alert(1)</script>)", ""},
		{"an image that runs code", "![x](javascript:alert(1))", "<p>x</p>"},
		{"quotes in an address", `[x](https://a.net/"onclick="alert(1))`, `rel="nofollow noopener">x</a></p>`},
		{"template braces", "{{.Title}} ${7*7}", "<p>{{.Title}} ${7*7}</p>"},
		{"a table", "|a|b|\n|:-|-:|\n|1|2|", `<th align="left">a</th>`},
		{"a deep heading", "##### x", "<h6>x</h6>"},
		{"a turned text", "a\u202Eb", "<p>ab</p>"},
		{"a code block", "```js\nalert(1)\n```", "<pre><code>alert(1)\n</code></pre>"},
	} {
		got := strings.TrimSpace(markdown.HTML(test.text, ""))
		if got != test.want && (strings.HasPrefix(test.want, "<p>") || !strings.Contains(got, test.want)) {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		if fault := unsafeIn(got); fault != "" {
			t.Errorf("%s: %s: %s", test.name, fault, got)
		}
	}
}

// Readers of feeds resolve no relative links.
func TestLinksOfFeedsAreAbsolute(t *testing.T) {
	got := markdown.HTML("[a](/posts/x) [b](../y) ![c](z.png) [d](https://other.net/) [e](#f)",
		"https://status.example.net/p/1")
	for _, want := range []string{
		`href="https://status.example.net/posts/x"`, `href="https://status.example.net/y"`,
		`href="https://status.example.net/p/z.png"`, `href="https://other.net/"`, `href="https://status.example.net/p/1#f"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	got := markdown.Plain("# Cause\n\nThe *disk* of [NC036](/hosts/NC036)\nwas **full** & slow.\n\n- one\n- `two`\n\n" +
		"> <b>three</b>\n\n```\nfour\n```\n![five](x.png) <https://six.net>")
	want := "Cause\nThe disk of NC036\nwas full & slow.\none\ntwo\n<b>three</b>\nfour\nfive https://six.net"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPlainShowsCharactersAsHTMLDoes(t *testing.T) {
	for text, want := range map[string]string{
		"x &amp; y &lt;b&gt; &#65;": "x & y <b> A", "`&amp;`": "&amp;", `\&amp; \*a\*`: "&amp; *a*", "a&#2;&#x202E;b": "ab",
		"&nosuch; & co": "&nosuch; & co", "<pre>\na\n\n</pre> b": "<pre>\na\n\n</pre> b", "a\n\n    code": "a\ncode",
	} {
		if got := markdown.Plain(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Blocks do not run together on one line, whatever they are.
func TestSummary(t *testing.T) {
	for text, want := range map[string]string{
		"- first item\n- second item":                   "first item; second item",
		"Today:\n\n1. one.\n2. two\n   - three\n\nEnd.": "Today: one. two; three; End.",
		"# Cause\n\nThe disk\nwas full":                 "Cause: The disk was full",
		"## What now?\nWe wait (as \"said.\")\n\nx":     "What now? We wait (as \"said.\") x",
		"| a | b |\n|---|---|\n| c | d |":               "a; b; c; d",
		"> quoted\n\n```\ncode\n  more\n```\n***\nx":    "quoted; code more; x",
		"": "", "-\n-": "", "one": "one",
	} {
		if got := markdown.Summary(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	hostile := strings.Repeat("> ", 100) + "a\n b"
	if got := markdown.Summary(hostile); strings.Contains(got, "\n") || !strings.HasSuffix(got, "a b") {
		t.Errorf("%q", got)
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"  a\r\nSet-Cookie: b ": "a Set-Cookie: b", "a\x00\x1b[2Jb": "a[2Jb", "evil\u202Egnp.exe": "evilgnp.exe",
		"\xff": "\uFFFD", "שלום\u200F!": "שלום\u200F!", "a\u2028b": "a b",
	} {
		if got := markdown.Line(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// costliest is how much longer than plain words a hostile text of the same length may take. What is measured is at most
// 20 times; a text whose time grows with the square of its length takes thousands of times as long.
const costliest = 300

// A hostile text of the longest length is rendered within a fraction of a second.
func TestTimeIsBounded(t *testing.T) {
	plain := fastest(strings.Repeat("word ", (128<<10)/5))
	for _, unit := range []string{
		">", "> ", "- ", "* ", "1. ", "*a_ ", "[", "![", "[a](", "[a][", "<", "<a ", "`", "``a ", "~", "_a*", "|", "|-", "\\",
		"a**b", "[a]: b\n", ">\n", "- a\n", "\t", "http://", "www.", "a@b.", "&", "&#", "# ", "=", "#\n", "<!--", "<?",
		"**x [a*](_", "- - ", "a\n=\n", "|a|\n|-|\n", "  ", "((((", "]](", "\n\n", "a\u0301", "🇦", " *", "1) ", "+ - ",
		"<a href=\"", "http://a.b/(", "~~a", "- > ", ">- ", "\n - ", "é",
	} {
		text := strings.Repeat(unit, (128<<10)/len(unit))
		if took := fastest(text); took > costliest*plain {
			t.Errorf("%q again and again: %s, and plain words %s", unit, took, plain)
		}
		if fault := unsafeIn(markdown.HTML(text, "")); fault != "" {
			t.Errorf("%q again and again: %s", unit, fault)
		}
	}
}

// fastest returns how long it takes to render a text: the shortest of three times, since other programs run beside.
func fastest(text string) time.Duration {
	shortest := time.Duration(math.MaxInt64)
	for range 3 {
		since := time.Now()
		markdown.HTML(text, "")
		markdown.Plain(text)
		shortest = min(shortest, time.Since(since))
	}
	return shortest
}

func FuzzHTML(f *testing.F) {
	for _, seed := range []string{
		"a", "[a](javascript:alert(1))", "<svg/onload=alert(1)>", "![a](b)", "|a|\n|-|\n", "> - 1. # x", "```\n", "&#x6a;",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		since := time.Now()
		out := markdown.HTML(text, "https://status.example.net/")
		if fault := unsafeIn(out); fault != "" {
			t.Errorf("%q: %s: %s", text, fault, out)
		}
		if took := time.Since(since); took > 5*time.Second {
			t.Errorf("%q takes %s", text, took)
		}
		markdown.Plain(text)
		if line := markdown.Line(text); strings.ContainsAny(line, "\r\n\x00\u202e") {
			t.Errorf("%q: %q", text, line)
		}
	})
}

// unsafeIn returns what a browser that reads the HTML could run or load, as another parser sees it.
func unsafeIn(rendered string) string {
	allowed := " p br hr h3 h4 h5 h6 em strong del sub sup code pre blockquote ul ol li table thead tbody tr th td a "
	z := html.NewTokenizer(strings.NewReader(rendered))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return ""
		case html.CommentToken, html.DoctypeToken:
			return "a comment"
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			if !strings.Contains(allowed, " "+token.Data+" ") {
				return "element " + token.Data
			}
			for _, a := range token.Attr {
				scheme, _, hasScheme := strings.Cut(strings.ToLower(a.Val), ":")
				switch {
				case a.Key == "href" && hasScheme && !strings.ContainsAny(scheme, "/?#") &&
					scheme != "http" && scheme != "https" && scheme != "mailto":
					return "scheme " + scheme
				case a.Key == "rel" && a.Val != "nofollow noopener", a.Key == "rel" && token.Data != "a":
					return "rel " + a.Val
				case a.Key != "href" && a.Key != "rel" && a.Key != "start" && a.Key != "align":
					return "attribute " + a.Key
				}
			}
		}
	}
}
