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
	// bodyMax bounds the bytes of decoded text that are searched. A page that answers is rarely longer, and an answer
	// without end must not keep an agent busy.
	bodyMax = 1 << 20
	// bodyWindow is how much of a body is in memory at a time.
	bodyWindow = 8 << 10
	// encodingsMax bounds how often a body may be compressed over.
	encodingsMax = 2
)

// errBeyondLimit says that the text was not found in the first bodyMax bytes, and that the body goes on.
var errBeyondLimit = errors.New("the body is longer than what is searched")

// notAsDeclared reports whether the body is not compressed as its header says.
func notAsDeclared(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.As(err, &corrupt) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) ||
		errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum)
}

// unknownEncodingError says that a body is compressed in a way that the probe neither asked for nor knows.
type unknownEncodingError struct{ name string }

func (e *unknownEncodingError) Error() string { return "unknown encoding " + e.name }

// bodyContains reports whether the answer's body contains the text. The body is decompressed, since some servers
// compress without being asked, and read in its own character set; it is searched as it arrives and never held whole.
// Where the text is not found, err is nil if the whole body was searched.
func bodyContains(response *http.Response, text string) (found bool, err error) {
	body, err := decompressed(response)
	if err != nil {
		return false, err
	}
	counted := &counter{Reader: io.LimitReader(body, bodyMax+1)}
	buffered := bufio.NewReaderSize(counted, bodyWindow)
	head, _ := buffered.Peek(1024) // the HTML standard looks for a character set here; an error comes again on reading
	text8 := []byte(text)
	switch enc, name, certain := charset.DetermineEncoding(head, response.Header.Get("Content-Type")); {
	case name == "utf-8":
		found, err = search(buffered, text8)
	case certain || name != "windows-1252":
		found, err = search(transform.NewReader(buffered, enc.NewDecoder()), text8)
	default:
		// Nothing declares the character set. What is guessed then is windows-1252, though most such pages are UTF-8.
		found, err = search(buffered, text8, encoded(enc, text))
	}
	if !found && err == nil && counted.n > bodyMax {
		err = errBeyondLimit
	}
	return found, err
}

// encoded is the text in a character set, or as it is where the set lacks one of its letters.
func encoded(enc encoding.Encoding, text string) []byte {
	if out, err := enc.NewEncoder().Bytes([]byte(text)); err == nil {
		return out
	}
	return []byte(text)
}

// search reads until one of the texts was read, or to the end.
func search(r io.Reader, texts ...[]byte) (found bool, err error) {
	keep := 0 // the end of a window that may be the beginning of a text
	for _, text := range texts {
		keep = max(keep, len(text)-1)
	}
	window := make([]byte, 0, keep+bodyWindow)
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
		if len(window) > keep {
			window = window[:copy(window, window[len(window)-keep:])]
		}
	}
}

// decompressed undoes the body's content encodings. What they may expand to is bounded by who reads it.
func decompressed(response *http.Response) (io.Reader, error) {
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

// inflate reads "deflate", which is zlib's format by RFC 9110 and bare DEFLATE by what some servers send.
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

// counter counts what was read.
type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += n
	return n, err
}
