package probe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html/charset"
)

// jsonMax bounds the JSON that is read: answers of health checks are short, and it is in memory as a whole.
const jsonMax = 64 << 10

// bodyMatches reports whether the response's body, decoded, has a match of the regular expression. It is not stored.
func bodyMatches(response *http.Response, pattern string) (bool, error) {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return false, err
	}
	body, err := decompress(response)
	if err != nil {
		return false, err
	}
	counted := &counter{Reader: io.LimitReader(body, bodyMax+1)}
	buffered := bufio.NewReaderSize(counted, bodyWindow)
	head, failed := peekHead(buffered)
	source := &failingReader{Reader: buffered}
	if enc, name, certain := charset.DetermineEncoding(head, response.Header.Get("Content-Type")); certain &&
		name != "utf-8" {
		source.Reader = enc.NewDecoder().Reader(buffered)
	}
	matched := wanted.MatchReader(bufio.NewReader(source))
	switch {
	case matched:
		return true, nil
	case failed != nil:
		return false, failed
	case source.err != nil:
		return false, source.err
	case counted.n > bodyMax:
		return false, errBeyondLimit
	}
	return false, nil
}

// failingReader remembers the error that ended its reader, which a regular expression takes for the end of the text.
type failingReader struct {
	io.Reader
	err error
}

func (r *failingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// testJSON compares values in a JSON body with those that the check requires.
func (c *httpClient) testJSON(response *http.Response) (good bool, lacks string, err error) {
	body, err := decompress(response)
	if err != nil {
		return false, "", err
	}
	text, err := io.ReadAll(io.LimitReader(body, jsonMax+1))
	if err != nil {
		return false, "", err
	}
	for _, path := range slices.Sorted(maps.Keys(c.options.BodyJSON)) {
		wanted := c.options.BodyJSON[path]
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		value, found, err := jsonValue(decoder, strings.Split(path, "."))
		switch {
		case errors.Is(err, errDeepJSON):
			return false, quote(path) + ": it is nested more than 1000 deep", nil
		case err != nil && len(text) > jsonMax:
			return false, quote(path) + ": it is longer than 64 KiB", nil
		case err != nil:
			return false, quote(path) + ": it is no JSON", nil
		case !found:
			return false, quote(path), nil
		case value != wanted:
			shown := c.shown(c.options).BodyJSON[path]
			return false, fmt.Sprintf("%s as %s, which is %s", quote(shown), quote(path), quote(c.serverText(value))), nil
		}
	}
	return true, "", nil
}

// jsonValue reads until it finds the plain value at the path: the names of members, and the numbers of items.
func jsonValue(d *json.Decoder, path []string) (value string, found bool, err error) {
	token, err := d.Token()
	if err != nil {
		return "", false, err
	}
	opening, composite := token.(json.Delim)
	switch {
	case len(path) == 0 && composite:
		return "", false, nil
	case len(path) == 0:
		if token == nil {
			return "null", true, nil
		}
		return fmt.Sprint(token), true, nil
	case !composite:
		return "", false, nil
	}
	for i := 0; d.More(); i++ {
		name := strconv.Itoa(i)
		if opening == '{' {
			token, err := d.Token()
			if err != nil {
				return "", false, err
			}
			name, _ = token.(string)
		}
		if name == path[0] {
			return jsonValue(d, path[1:])
		}
		if err := skipJSON(d); err != nil {
			return "", false, err
		}
	}
	_, err = d.Token()
	return "", false, err
}

// jsonDepthMax bounds the nesting of what is skipped: the decoder remembers each level.
const jsonDepthMax = 1000

var errDeepJSON = errors.New("the JSON is nested too deeply")

// skipJSON reads one value.
func skipJSON(d *json.Decoder) error {
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		if depth > jsonDepthMax {
			return errDeepJSON
		}
	}
}
