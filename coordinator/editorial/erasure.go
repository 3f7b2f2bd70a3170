package editorial

import (
	"context"
	"errors"
	"time"
)

// Logs are those in which the servers of a replicated stream write before the stream itself. They have what the stream
// erased until their next snapshot.
type Logs interface {
	// End is the position of the newest entry; 0 without replicas.
	End(ctx context.Context) (position uint64, err error)
	// Passed reports whether no server has entries up to the position any more.
	Passed(ctx context.Context, position uint64) (bool, error)
}

const (
	eraseRetry  = 10 * time.Second
	logsEvery   = 10 * time.Second
	subject     = "removed-texts"
	logsSubject = "removed-texts-logs"
)

// Run erases the texts that people removed and that are still there: what an earlier run did not finish, what a
// restored backup brought back, and what failed. It waits until the servers' logs have no copies left, and logs that.
// It returns nil when ctx ends.
func (e *Editor) Run(ctx context.Context) error {
	first := true // until it succeeds
	for ctx.Err() == nil {
		var retry <-chan time.Time
		err := e.eraseRemoved(ctx, first)
		first = first && err != nil
		if err != nil && ctx.Err() == nil {
			e.config.Logger.Error().Err(err).Msg("removed texts not erased; retrying")
			e.config.Warn(subject, "removed texts could not be erased yet: "+err.Error())
			retry = time.After(eraseRetry)
		} else {
			e.config.Warn(subject, "")
		}
		if e.awaitLogs(ctx, retry) != nil {
			return nil
		}
	}
	return nil
}

// awaitLogs watches the servers' logs until the removed texts have to be erased again.
func (e *Editor) awaitLogs(ctx context.Context, retry <-chan time.Time) error {
	ticker := time.NewTicker(logsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-retry:
			return nil
		case <-e.failed:
			return nil
		case <-ticker.C:
			e.checkLogs(ctx)
		}
	}
}

// checkLogs looks whether the servers' logs still have texts that were erased.
func (e *Editor) checkLogs(ctx context.Context) {
	position := e.inLogs.Load()
	if position == 0 || e.config.Logs == nil {
		return
	}
	passed, err := e.config.Logs.Passed(ctx, position)
	switch {
	case err != nil && ctx.Err() == nil:
		e.config.Logger.Warn().Err(err).Msg("logs of the NATS servers not examined; retrying")
	case passed && e.inLogs.CompareAndSwap(position, 0): // not if another text was erased meanwhile
		e.config.Logger.Info().Msg("removed texts erased on all NATS servers")
		e.config.Warn(logsSubject, "")
	}
}

// noteLogs remembers that the servers' logs may have texts that were erased before now.
func (e *Editor) noteLogs(ctx context.Context) error {
	if e.config.Logs == nil {
		return nil
	}
	position, err := e.config.Logs.End(ctx)
	if err != nil || position == 0 {
		return err
	}
	e.inLogs.Store(position)
	e.config.Warn(logsSubject,
		"removed texts are still in the NATS servers' logs, each until its next snapshot; this ends by itself "+
			"within minutes while all servers run")
	return nil
}

func (e *Editor) eraseRemoved(ctx context.Context, first bool) error {
	texts, err := e.config.Posts.Removed(ctx)
	if err == nil {
		err = e.erase(ctx, texts)
	}
	if err == nil && first && len(texts) > 0 {
		err = e.noteLogs(ctx) // an earlier run may have erased one just before it ended
	}
	return err
}

// eraseNow erases the texts of a post, an incident or a maintenance. Run goes on with what could not be erased.
func (e *Editor) eraseNow(ctx context.Context, kind, id string, texts []string) Removal {
	err := e.erase(ctx, texts)
	if err != nil {
		e.config.Logger.Error().Err(err).Str(kind, id).Msg("text not erased; retrying")
		select {
		case e.failed <- struct{}{}:
		default:
		}
	}
	return Removal{Pending: err != nil, Replicated: e.inLogs.Load() != 0}
}

// erase erases the texts wherever they are stored.
func (e *Editor) erase(ctx context.Context, ids []string) (err error) {
	replicated := false
	for _, id := range ids {
		copies, failed := e.config.Texts.Erase(ctx, id)
		replicated, err = replicated || copies, errors.Join(err, failed)
	}
	if len(ids) > 0 {
		err = errors.Join(err, e.config.Posts.TruncateLog(ctx))
	}
	if replicated {
		err = errors.Join(err, e.noteLogs(ctx))
	}
	return err
}
