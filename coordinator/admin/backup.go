package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Backup hands out everything that a coordinator needs to be made anew, part by part, while it runs.
type Backup interface {
	// BackupParts lists the parts in the order in which they are to be fetched.
	BackupParts(ctx context.Context) ([]string, error)
	// BackupPart writes one of them.
	BackupPart(ctx context.Context, name string, w io.Writer) error
}

// failureTrailer carries why a part could not be written to its end: the status was already sent by then.
const failureTrailer = "Probemesh-Failure"

func handleBackup(mux *http.ServeMux, b Backup) {
	mux.HandleFunc("GET /backup", func(w http.ResponseWriter, r *http.Request) {
		parts, err := b.BackupParts(r.Context())
		answer(w, parts, err)
	})
	mux.HandleFunc("GET /backup/part", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", failureTrailer)
		failure := "none"
		if err := b.BackupPart(r.Context(), r.FormValue("name"), w); err != nil {
			failure = url.QueryEscape(err.Error())
		}
		w.Header().Set(failureTrailer, failure)
	})
}

// BackupParts lists the parts of a backup in the order in which they are to be fetched.
func (c *Client) BackupParts(ctx context.Context) (parts []string, err error) {
	return parts, c.call(ctx, http.MethodGet, "/backup", nil, nil, &parts)
}

// BackupPart writes one part of a backup. It is nil only if the part arrived whole.
func (c *Client) BackupPart(ctx context.Context, name string, w io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://coordinator/backup/part?"+url.Values{"name": {name}}.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreached(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		var said bytes.Buffer
		_, _ = io.CopyN(&said, response.Body, 1<<10)
		return fmt.Errorf("the coordinator's answer: %s: %s", response.Status, said.String())
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("the coordinator's answer: %w", err)
	}
	switch failure := response.Trailer.Get(failureTrailer); failure {
	case "none":
		return nil
	case "":
		return errors.New("the coordinator's answer was cut short")
	default:
		words, err := url.QueryUnescape(failure)
		if err != nil {
			words = failure
		}
		return errors.New(words)
	}
}
