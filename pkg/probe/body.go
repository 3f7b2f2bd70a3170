package probe

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

const (
	// bodyMax bounds the decoded bytes that are searched. Pages are rarely longer, and an endless body must not keep an
	// agent busy.
	bodyMax = 1 << 20
	// bodyWindow is how much of a body is in memory at a time: see exchangeBytes.
	bodyWindow = 8 << 10
	// encodingsMax bounds the layers of compression: each multiplies the work that a small body can cause.
	encodingsMax = 2
)

// errBeyondLimit reports that the text is not in the first bodyMax bytes, and that the body is longer.
var errBeyondLimit = errors.New("the body is longer than what is searched")

// isDecodeError reports whether err means that the body is not compressed as its Content-Encoding declares.
func isDecodeError(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.As(err, &corrupt) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) ||
		errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum)
}

// unknownEncodingError reports a Content-Encoding that the probe cannot decode. It did not accept any.
type unknownEncodingError struct{ name string }

func (e *unknownEncodingError) Error() string { return "unknown encoding " + e.name }

// bodyContains reports whether the response's body contains the text. It decompresses the body, since some servers
// compress unasked, decodes its character set, and searches it as it arrives without storing it. If the text is not
// found, err is nil if the whole body was searched.
func bodyContains(response *http.Response, text string) (found bool, err error) {
	body, err := decompress(response)
	if err != nil {
		return false, err
	}
	counted := &counter{Reader: io.LimitReader(body, bodyMax+1)}
	buffered := bufio.NewReaderSize(counted, bodyWindow)
	head, failed := peekHead(buffered)
	text8 := []byte(text)
	switch enc, name, certain := charset.DetermineEncoding(head, response.Header.Get("Content-Type")); {
	case name == "utf-8":
		found, err = search(buffered, text8)
	case certain || name != "windows-1252":
		found, err = search(transform.NewReader(buffered, enc.NewDecoder()), text8)
	default:
		// Nothing declares the character set. The HTML standard guesses windows-1252, though most such pages are UTF-8:
		// search for both.
		found, err = search(buffered, text8, encode(enc, text))
	}
	switch {
	case found:
		return true, nil
	case failed != nil:
		return false, failed
	case err == nil && counted.n > bodyMax:
		err = errBeyondLimit
	}
	return false, err
}

// peekHead returns the first 1024 bytes, in which browsers look for a declared character set, or less and why there is
// no more: the next read may give another reason, as "cut short" for a server that was too late.
func peekHead(body *bufio.Reader) (head []byte, failed error) {
	head, err := body.Peek(1024)
	if errors.Is(err, io.EOF) {
		return head, nil
	}
	return head, err
}

// encode returns the text in a character set, or unchanged if the set lacks one of its characters.
func encode(enc encoding.Encoding, text string) []byte {
	if out, err := enc.NewEncoder().Bytes([]byte(text)); err == nil {
		return out
	}
	return []byte(text)
}

// search reads until it finds one of the texts, or to the end.
func search(r io.Reader, texts ...[]byte) (found bool, err error) {
	overlap := 0 // the last bytes of a window, with which a text may begin
	for _, text := range texts {
		overlap = max(overlap, len(text)-1)
	}
	window := make([]byte, 0, overlap+bodyWindow)
	for {
		n, err := r.Read(window[len(window):cap(window)])
		window = window[:len(window)+n]
		for _, text := range texts {
			if bytes.Contains(window, text) {
				return true, nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		}
		if len(window) > overlap {
			window = window[:copy(window, window[len(window)-overlap:])]
		}
	}
}

// decompress undoes the body's content encodings. Its caller bounds how much it reads, and so protects itself against
// small bodies that expand to gigabytes.
func decompress(response *http.Response) (io.Reader, error) {
	names := strings.Split(strings.Join(response.Header.Values("Content-Encoding"), ","), ",")
	names = slices.DeleteFunc(names, func(name string) bool {
		return strings.TrimSpace(name) == "" || strings.EqualFold(strings.TrimSpace(name), "identity")
	})
	if len(names) > encodingsMax {
		return nil, &unknownEncodingError{strings.Join(names, ",")}
	}
	var body io.Reader = response.Body
	for _, name := range slices.Backward(names) { // the last one was applied last
		var err error
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "gzip", "x-gzip":
			body, err = gzip.NewReader(body)
		case "deflate":
			body, err = inflate(body)
		default:
			return nil, &unknownEncodingError{name}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return body, nil
}

// inflate decodes "deflate", which is the zlib format according to RFC 9110, but bare DEFLATE on some servers.
func inflate(r io.Reader) (io.Reader, error) {
	head := make([]byte, 2)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), r)
	const method, check = 0x0f, 31 // RFC 1950: method 8 in the low bits, and both bytes a multiple of 31
	if n == 2 && head[0]&method == 8 && (uint(head[0])<<8|uint(head[1]))%check == 0 {
		return zlib.NewReader(whole)
	}
	return flate.NewReader(whole), nil
}

// counter counts the bytes that were read.
type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += n
	return n, err
}
