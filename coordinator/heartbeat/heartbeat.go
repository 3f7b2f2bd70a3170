// Package heartbeat tells an outside address regularly that the coordinator judges, and falls silent when it does not, so that
// whoever listens there can call when the coordinator itself is what failed.
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

// Config is whom to tell, and how often.
type Config struct {
	URL     string
	Every   time.Duration
	Judging func() bool                // the ping is left out while it is false
	Warn    func(subject, text string) // told in words when a ping fails; an empty text says that it is over
}

// Bounds of the ping.
const (
	EveryMin  = time.Second // an address that is asked more often may take it for an attack
	EveryMax  = 24 * time.Hour
	waitMax   = 10 * time.Second
	answerMax = 64 << 10 // bytes that are read of an answer, so that the connection can be used again
	subject   = "heartbeat"
)

// Check reports what is wrong with an address and an interval.
func Check(address string, every time.Duration) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("--heartbeat-url %q: name an address as in https://example.net/ping/1234", address)
	}
	if every < EveryMin || every > EveryMax {
		return fmt.Errorf("--heartbeat-every %s: choose from %s to %s", every, EveryMin, EveryMax)
	}
	return nil
}

// Run pings until ctx ends. It returns nil then.
func Run(ctx context.Context, c Config) error {
	client := &http.Client{Timeout: min(c.Every, waitMax), Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: 2 * c.Every}}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(c.Every)
	defer ticker.Stop()
	// The first ping comes as soon as there is judging, so that a wrong address is noticed at once.
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
		c.Warn(subject, words(ping(ctx, client, c.URL)))
	}
}

func words(err error) string {
	if err == nil || errors.Is(err, context.Canceled) {
		return ""
	}
	return "the heartbeat is not accepted: " + err.Error()
}

// ping asks the address once. Its words leave out the address, which may be a secret, and whatever changes from try to try.
func ping(ctx context.Context, client *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errors.New("it is no address")
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
		return errors.New("it cannot be reached")
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, answerMax)
	if response.StatusCode >= http.StatusBadRequest {
		return errors.New(response.Status)
	}
	return nil
}
