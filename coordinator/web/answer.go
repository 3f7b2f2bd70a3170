package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
)

// answer is an immutable answer. Its compressed forms are made when the first client asks for them.
type answer struct {
	status       int
	plain        variant
	compressible bool // it is sent so often that compressing it pays
	gzip, brotli compressed
}

// variant is an answer in one encoding: all of its bytes, and its header as a Header map has it.
type variant struct {
	etag   string
	header map[string][]string
	body   []byte
}

// compressed is a variant that is made once.
type compressed struct {
	once sync.Once
	variant
}

const (
	// compressMin is in bytes: below, a header's worth is saved.
	compressMin = 500
	// The levels at which another one would take much longer for a few bytes: 30 KB take two milliseconds.
	gzipLevel   = 6
	brotliLevel = 5
)

// newAnswer returns an answer with a strong validator.
func newAnswer(status int, header http.Header, body []byte) *answer {
	a := &answer{status: status}
	header = maps.Clone(header)
	header.Set("Vary", "Accept-Encoding")
	sum := sha256.Sum256(body)
	a.plain = newVariant(header, hex.EncodeToString(sum[:8]), "", body)
	return a
}

// newVariant returns a variant of the answer with this header. Representations that differ in a byte have different
// strong validators, so the encoding is part of it.
func newVariant(header http.Header, tag, encoding string, body []byte) variant {
	header = maps.Clone(header)
	if encoding != "" {
		header.Set("Content-Encoding", encoding)
		tag += "-" + encoding
	}
	header.Set("ETag", `"`+tag+`"`)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	for key, values := range header {
		header[key] = slices.Clip(values) // requests share them: what is appended must not be written into them
	}
	return variant{header.Get("ETag"), header, body}
}

func (a *answer) equal(b *answer) bool {
	return a.status == b.status && bytes.Equal(a.plain.body, b.plain.body) &&
		maps.EqualFunc(a.plain.header, b.plain.header, slices.Equal)
}

// serve sends the answer in the best encoding that the client accepts, or 304 if the client has it.
func (a *answer) serve(w http.ResponseWriter, r *http.Request) {
	v, h := a.choose(r.Header), w.Header()
	maps.Copy(h, v.header)
	if a.status == http.StatusOK && listsTag(r.Header["If-None-Match"], v.etag) {
		for _, key := range [...]string{"Content-Type", "Content-Encoding", "Content-Length"} {
			delete(h, key)
		}
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(v.body) // fails only if the client has gone; a server leaves it out of the answer to HEAD
}

// choose returns the answer in the best encoding that the client accepts.
func (a *answer) choose(h http.Header) *variant {
	if !a.compressible || len(a.plain.body) < compressMin {
		return &a.plain
	}
	accepted := h["Accept-Encoding"]
	if accepts(accepted, "br") {
		return a.brotli.get(&a.plain, "br", func(w io.Writer) io.WriteCloser {
			return brotli.NewWriterLevel(w, brotliLevel)
		})
	}
	if accepts(accepted, "gzip") {
		return a.gzip.get(&a.plain, "gzip", func(w io.Writer) io.WriteCloser {
			z, _ := gzip.NewWriterLevel(w, gzipLevel) // fails only for a level that does not exist
			return z
		})
	}
	return &a.plain
}

func (c *compressed) get(plain *variant, encoding string, writer func(io.Writer) io.WriteCloser) *variant {
	c.once.Do(func() {
		var out bytes.Buffer
		w := writer(&out)
		_, _ = w.Write(plain.body) // a buffer accepts everything
		_ = w.Close()
		c.variant = newVariant(plain.header, strings.Trim(plain.etag, `"`), encoding, out.Bytes())
	})
	return &c.variant
}

// accepts reports whether an Accept-Encoding header accepts an encoding by name. "*" is not enough: some programs that
// send it can decode nothing.
func accepts(header []string, encoding string) bool {
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			name, parameter, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), encoding) {
				q, isQ := strings.CutPrefix(strings.TrimSpace(parameter), "q=")
				return !isQ || strings.Trim(q, "0.") != ""
			}
		}
	}
	return false
}

// listsTag reports whether an If-None-Match header lists a validator. It compares weakly, as RFC 9110 asks for: a proxy
// that compresses an answer makes its validator weak.
func listsTag(header []string, etag string) bool {
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
			if part == etag || part == "*" {
				return true
			}
		}
	}
	return false
}
