package health

import (
	"context"
	"fmt"
	"time"
)

const (
	lagEvery = 10 * time.Second
	// lagAfter is how long the judge or the view may be behind before operators are warned: longer than a restart of NATS.
	lagAfter = time.Minute
	// lagMessages is how far behind counts: two minutes of a small mesh, and seconds of a large one.
	lagMessages = 1000
)

// WatchLag warns operators while the judge or the ledger's view is behind, until ctx ends, and then returns nil.
func (c *Checker) WatchLag(ctx context.Context) error {
	ticker := time.NewTicker(lagEvery)
	defer ticker.Stop()
	var since time.Time // of the lag; zero: there is none
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			var text string
			since, text = c.lag(ctx, since, now)
			c.config.Warnings.Warn("lag", text)
		}
	}
}

// lag returns since when something is behind, and what to warn of. It measures lags in words that do not change with
// every look, so that each is logged once.
func (c *Checker) lag(ctx context.Context, since, now time.Time) (time.Time, string) {
	r, err := c.Report(ctx)
	text := ""
	switch {
	case err != nil:
		text = "NATS does not answer: nothing is judged or recorded"
	case !r.Judging:
		text = "the judge does not process the stream of observations"
	case r.Behind > lagMessages:
		text = fmt.Sprintf("the judge is more than %d messages behind: verdicts come late", lagMessages)
	case r.ViewBehind > lagMessages:
		text = fmt.Sprintf("the view of the ledger is more than %d events behind: pages are out of date", lagMessages)
	}
	if text == "" {
		return time.Time{}, ""
	}
	if since.IsZero() {
		since = now
	}
	if now.Sub(since) < lagAfter {
		return since, ""
	}
	return since, text
}
