// Package blogtest generates exports of WordPress, as large as a test needs.
package blogtest

import (
	"fmt"
	"html"
	"math/rand/v2"
	"strings"
	"time"
)

// WXR returns an export with as many posts of some 200 words, and with drafts, pages, attachments and comments.
func WXR(posts int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	words := strings.Fields("the mail server was down for some minutes after sending stopped and we restored it NC036 " +
		"NC041 disk queue spam virus flood network backup certificate minutes hours update maintenance")
	var out strings.Builder
	out.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:excerpt="http://wordpress.org/export/1.2/excerpt/"
 xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:wp="http://wordpress.org/export/1.2/"><channel>
<wp:wxr_version>1.2</wp:wxr_version>
`)
	at := time.Date(2015, 1, 1, 8, 0, 0, 0, time.UTC)
	for n := 1; n <= posts; n++ {
		at = at.Add(17 * time.Hour)
		var text strings.Builder
		for w := range 200 {
			text.WriteString(words[random.IntN(len(words))])
			text.WriteString(map[bool]string{true: ".\n\n", false: " "}[w%50 == 49])
		}
		title := fmt.Sprintf("NC0%d: update %d", 36+n%7, n)
		item(&out, n, "post", "publish", title, text.String()+"<strong>Done</strong> <img src=\"/x.png\">", at)
		switch n % 100 {
		case 1:
			item(&out, posts+4*n, "post", "draft", "A draft", "Secret draft", at)
		case 2:
			item(&out, posts+4*n, "page", "publish", "A page", "Text", at)
		case 3:
			item(&out, posts+4*n, "attachment", "inherit", "x.png", "", at)
		case 4:
			item(&out, posts+4*n, "post", "private", "Private", "Secret", at)
		}
	}
	out.WriteString("</channel></rss>\n")
	return []byte(out.String())
}

func item(out *strings.Builder, id int, kind, status, title, text string, at time.Time) {
	fmt.Fprintf(out, `<item><title>%s</title><link>https://blog.example.net/%s/post-%d/</link>
<pubDate>%s</pubDate><guid isPermaLink="false">https://blog.example.net/?p=%d</guid>
<content:encoded><![CDATA[%s]]></content:encoded><excerpt:encoded><![CDATA[]]></excerpt:encoded>
<wp:post_id>%d</wp:post_id><wp:post_date_gmt>%s</wp:post_date_gmt><wp:post_type>%s</wp:post_type>
<wp:status>%s</wp:status><category domain="category" nicename="mail"><![CDATA[Mail]]></category>
<category domain="post_tag" nicename="smtp"><![CDATA[SMTP]]></category>
<wp:comment><wp:comment_id>%d</wp:comment_id><wp:comment_content><![CDATA[Thanks]]></wp:comment_content></wp:comment>
</item>
`, html.EscapeString(title), at.Format("2006/01/02"), id, at.Format(time.RFC1123Z), id, text, id,
		at.Format(time.DateTime), kind, status, id)
}
