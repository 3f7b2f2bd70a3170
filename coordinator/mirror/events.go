package mirror

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tmaxmax/go-sse"
)

// Event is an event of the site's stream.
type Event struct{ Type, Data string }

// eventWait is how long a stream may be silent before it counts as lost: the site sends a beat or a comment every three
// seconds.
const eventWait = 15 * time.Second

// Follow calls f with each event of the front page's stream, until ctx or the stream ends.
func (o *Origin) Follow(ctx context.Context, f func(Event)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	address := o.Base.String() + "/api/v1/events?page=" + url.QueryEscape("/")
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	silent := time.AfterFunc(eventWait, func() { cancel(fmt.Errorf("the event stream was silent for %s", eventWait)) })
	defer silent.Stop()
	res, err := o.Client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the site answers %d to a request for its events", res.StatusCode)
	}
	for e, err := range sse.Read(res.Body, &sse.ReadConfig{MaxEventSize: documentMax}) {
		if err != nil {
			return err
		}
		silent.Reset(eventWait)
		f(Event{e.Type, e.Data})
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("the event stream ended")
}
