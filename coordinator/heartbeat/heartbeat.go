// Package heartbeat pings an external monitor while the coordinator works. When the pings stop the monitor alerts
// somebody: a coordinator cannot report its own death.
package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Config configures the heartbeat.
type Config struct {
	URL     string // may contain a secret
	Every   time.Duration
	Judging func() bool                // no ping is sent while it returns false
	Warn    func(subject, text string) // sets the warning of a failed ping; an empty text clears it
}

// Bounds of the ping.
const (
	EveryMin  = time.Second // a monitor may take more frequent pings for an attack
	EveryMax  = 24 * time.Hour
	waitMax   = 10 * time.Second // for an answer
	answerMax = 64 << 10         // bytes of an answer that are read, so that the connection can be reused
	subject   = "heartbeat"
)

// Check reports what is wrong with a URL and an interval, in terms of the flags.
func Check(address string, every time.Duration) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("--heartbeat-url %q: write it as https://example.net/ping/1234", address)
	}
	if every < EveryMin || every > EveryMax {
		return fmt.Errorf("--heartbeat-every %s: choose from %s to %s", every, EveryMin, EveryMax)
	}
	return nil
}

// Run sends pings until ctx ends, and then returns nil.
func Run(ctx context.Context, c Config) error {
	client := &http.Client{
		Timeout:   min(c.Every, waitMax),
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: 2 * c.Every},
	}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(c.Every)
	defer ticker.Stop()
	// The first ping is sent as soon as the coordinator works, so that a wrong URL is noticed at once.
	soon := time.NewTicker(min(c.Every, time.Second))
	defer soon.Stop()
	first := soon.C
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-first:
			if !c.Judging() {
				continue
			}
			first = nil
			ticker.Reset(c.Every)
		case <-ticker.C:
			if first != nil || !c.Judging() {
				continue
			}
		}
		c.Warn(subject, warning(ping(ctx, client, c.URL)))
	}
}

// warning returns the warning for the result of a ping.
func warning(err error) string {
	if err == nil || errors.Is(err, context.Canceled) {
		return ""
	}
	return "the heartbeat failed: " + err.Error()
}

// ping sends one ping. Its error contains neither the URL, which may be a secret, nor anything that changes between
// attempts.
func ping(ctx context.Context, client *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errors.New("the URL is not valid")
	}
	request.Header.Set("User-Agent", "probemesh-coordinator")
	response, err := client.Do(request)
	var failed *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &failed) && failed.Timeout():
		return errors.New("no answer in time")
	case err != nil:
		return errors.New("the monitor cannot be reached")
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, answerMax)
	if response.StatusCode >= http.StatusBadRequest {
		return errors.New(response.Status)
	}
	return nil
}
