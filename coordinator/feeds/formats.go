package feeds

import (
	"encoding/json"
	"encoding/xml"
	"time"
)

type rssFeed struct {
	XMLName xml.Name   `xml:"rss"`
	Version string     `xml:"version,attr"`
	Atom    string     `xml:"xmlns:atom,attr"`
	Channel rssChannel `xml:"channel"`
}

type rssChannel struct {
	Title       string    `xml:"title"`
	Link        string    `xml:"link"`
	Description string    `xml:"description"`
	Language    string    `xml:"language"`
	Generator   string    `xml:"generator"`
	Built       string    `xml:"lastBuildDate"`
	Self        rssSelf   `xml:"atom:link"`
	Items       []rssItem `xml:"item"`
}

type rssSelf struct {
	Href string `xml:"href,attr"`
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr"`
}

type rssItem struct {
	Title       string   `xml:"title"`
	Link        string   `xml:"link"`
	GUID        rssGUID  `xml:"guid"`
	Published   string   `xml:"pubDate"`
	Categories  []string `xml:"category"`
	Description string   `xml:"description"`
}

type rssGUID struct {
	Permalink bool   `xml:"isPermaLink,attr"`
	ID        string `xml:",chardata"`
}

const (
	generator = "probemesh"
	language  = "en"
)

func encodeRSS(f feed) ([]byte, error) {
	out := rssFeed{Version: "2.0", Atom: "http://www.w3.org/2005/Atom", Channel: rssChannel{
		Title: f.Title, Link: f.Home, Description: f.Description, Language: language, Generator: generator,
		Built: f.Updated.Format(time.RFC1123Z), Self: rssSelf{f.Self, "self", "application/rss+xml"},
	}}
	for _, e := range f.Entries {
		out.Channel.Items = append(out.Channel.Items, rssItem{
			Title: e.Title, Link: e.Link, GUID: rssGUID{false, e.ID}, Published: e.Published.Format(time.RFC1123Z),
			Categories: e.Categories, Description: e.HTML,
		})
	}
	return encodeXML(out)
}

type atomFeed struct {
	XMLName   xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	Language  string      `xml:"xml:lang,attr"`
	Title     string      `xml:"title"`
	Subtitle  string      `xml:"subtitle"`
	ID        string      `xml:"id"`
	Updated   string      `xml:"updated"`
	Links     []atomLink  `xml:"link"`
	Author    string      `xml:"author>name"`
	Generator string      `xml:"generator"`
	Entries   []atomEntry `xml:"entry"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	Title      string         `xml:"title"`
	ID         string         `xml:"id"`
	Link       atomLink       `xml:"link"`
	Published  string         `xml:"published"`
	Updated    string         `xml:"updated"`
	Categories []atomCategory `xml:"category"`
	Content    atomContent    `xml:"content"`
}

type atomCategory struct {
	Term string `xml:"term,attr"`
}

type atomContent struct {
	Type string `xml:"type,attr"`
	HTML string `xml:",chardata"`
}

func encodeAtom(f feed) ([]byte, error) {
	out := atomFeed{
		Language: language, Title: f.Title, Subtitle: f.Description, ID: f.Self, Updated: f.Updated.Format(time.RFC3339),
		Links:  []atomLink{{"self", "application/atom+xml", f.Self}, {"alternate", "text/html", f.Home}},
		Author: f.Title, Generator: generator,
	}
	for _, e := range f.Entries {
		item := atomEntry{
			Title: e.Title, ID: e.ID, Link: atomLink{"alternate", "text/html", e.Link},
			Published: e.Published.Format(time.RFC3339), Updated: e.Updated.Format(time.RFC3339),
			Content: atomContent{"html", e.HTML},
		}
		for _, c := range e.Categories {
			item.Categories = append(item.Categories, atomCategory{c})
		}
		out.Entries = append(out.Entries, item)
	}
	return encodeXML(out)
}

func encodeXML(v any) ([]byte, error) {
	data, err := xml.MarshalIndent(v, "", " ")
	return append([]byte(xml.Header), append(data, '\n')...), err
}

type jsonFeed struct {
	Version     string     `json:"version"`
	Title       string     `json:"title"`
	Home        string     `json:"home_page_url"`
	Self        string     `json:"feed_url"`
	Description string     `json:"description"`
	Language    string     `json:"language"`
	Items       []jsonItem `json:"items"`
}

type jsonItem struct {
	ID        string   `json:"id"`
	URL       string   `json:"url"`
	Title     string   `json:"title"`
	HTML      string   `json:"content_html"`
	Published string   `json:"date_published"`
	Modified  string   `json:"date_modified"`
	Tags      []string `json:"tags,omitempty"`
}

func encodeJSON(f feed) ([]byte, error) {
	out := jsonFeed{
		Version: "https://jsonfeed.org/version/1.1", Title: f.Title, Home: f.Home, Self: f.Self,
		Description: f.Description, Language: language, Items: []jsonItem{},
	}
	for _, e := range f.Entries {
		out.Items = append(out.Items, jsonItem{
			ID: e.ID, URL: e.Link, Title: e.Title, HTML: e.HTML, Published: e.Published.Format(time.RFC3339),
			Modified: e.Updated.Format(time.RFC3339), Tags: e.Categories,
		})
	}
	return json.MarshalIndent(out, "", " ")
}
