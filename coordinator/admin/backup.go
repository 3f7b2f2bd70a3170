package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Backup exports, part by part, everything that is needed to restore a coordinator, while it runs.
type Backup interface {
	// BackupParts lists the parts in the order in which they must be fetched.
	BackupParts(ctx context.Context) ([]string, error)
	// BackupPart writes one of them.
	BackupPart(ctx context.Context, name string, w io.Writer) error
}

// failureTrailer is the HTTP trailer with the error of a part that could not be written completely, or "none".
const failureTrailer = "Probemesh-Failure"

func (h handler) backupParts(_ http.ResponseWriter, r *http.Request) (any, error) {
	return h.Backup.BackupParts(r.Context())
}

// backupPart streams a part. Its length is not known beforehand, so a failure halfway can only be reported in a
// trailer.
func (h handler) backupPart(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", failureTrailer)
	outcome := "none"
	if err := h.Backup.BackupPart(r.Context(), r.FormValue("name"), w); err != nil {
		outcome = url.QueryEscape(err.Error()) // a header is one line
	}
	w.Header().Set(failureTrailer, outcome)
}

// BackupParts lists the parts of a backup in the order in which they must be fetched.
func (c *Client) BackupParts(ctx context.Context) (parts []string, err error) {
	return parts, c.call(ctx, http.MethodGet, "/backup", nil, nil, &parts)
}

// BackupPart writes one part of a backup to w. It returns nil only if the part arrived completely.
func (c *Client) BackupPart(ctx context.Context, name string, w io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://coordinator/backup/part?"+url.Values{"name": {name}}.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.connectError(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("fetch the backup's %s: %s: %s", name, response.Status, text)
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("fetch the backup's %s: %w", name, err)
	}
	switch outcome := response.Trailer.Get(failureTrailer); outcome {
	case "none":
		return nil
	case "":
		return fmt.Errorf("fetch the backup's %s: the answer of the coordinator is incomplete", name)
	default:
		text, err := url.QueryUnescape(outcome)
		if err != nil {
			text = outcome
		}
		return errors.New(text)
	}
}
