package export

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/mirror"
)

const (
	// exportEvery is the longest time between two exports of a site on which nothing changes.
	exportEvery = time.Minute
	// exportPause is the shortest: a copy costs the coordinator some rendering.
	exportPause = 2 * time.Second
	// allEvery is the longest time between two exports of the whole archive.
	allEvery = 10 * time.Minute
	// noticeEvery is how often the notice is checked for changes.
	noticeEvery = time.Second
	retryEvery  = 5 * time.Second
)

// Watch keeps the copy up to date until ctx ends: it exports the site whenever its front page changes, and every
// minute. While the site cannot be read it goes on to show the notice.
func (e *Exporter) Watch(ctx context.Context, log zerolog.Logger) error {
	changed := make(chan struct{}, 1)
	followed := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer func() { cancel(); <-followed }()
	go func() {
		defer close(followed)
		e.follow(ctx, changed)
	}()
	w := &watch{Exporter: e, log: log}
	for ctx.Err() == nil {
		w.export(ctx)
		w.await(ctx, changed)
	}
	return nil
}

// follow reports changes of the front page.
func (e *Exporter) follow(ctx context.Context, changed chan<- struct{}) {
	for ctx.Err() == nil {
		_ = e.Origin.Follow(ctx, func(event mirror.Event) {
			if event.Type == "page" || event.Type == "status" {
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		})
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery): // exports of every minute go on without events
		}
	}
}

// watch is what Watch knows of the exports so far.
type watch struct {
	*Exporter
	log       zerolog.Logger
	all       time.Time // of the last export of everything
	notice    string    // the latest that could be read
	unread    bool      // the notice cannot be read now
	failed    time.Time // since when the site cannot be read; zero: it can be
	announced string    // the notice that was put on the copy since
	marked    bool      // the copy says that it is out of date
}

// await returns when it is time for the next export.
func (w *watch) await(ctx context.Context, changed <-chan struct{}) {
	pause, every := exportPause, exportEvery
	if !w.failed.IsZero() {
		pause, every = noticeEvery, retryEvery
	}
	for end := time.Now().Add(every); ; pause = noticeEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		select {
		case <-changed:
			return
		default:
		}
		if notice, err := w.Exporter.notice(); !time.Now().Before(end) || err == nil && notice != w.notice {
			return
		}
	}
}

// export exports once.
func (w *watch) export(ctx context.Context) {
	w.readNotice()
	all := time.Since(w.all) >= allEvery
	report, err := w.Exporter.export(ctx, all, w.notice)
	if err == nil && report.Wrote && !all { // then pages of the archive may have changed too
		all = true
		report, err = w.Exporter.export(ctx, all, w.notice)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.fail(err)
	default:
		if !w.failed.IsZero() {
			w.log.Info().Msg("export recovered")
		}
		if len(report.Failed) > 0 {
			w.log.Warn().Err(errors.Join(report.Failed...)).Msg("documents not copied")
		}
		w.failed, w.marked = time.Time{}, false
		if all {
			w.all = time.Now()
		}
		w.log.Debug().Int("files", report.Files).Int("written", report.Written).Msg("site exported")
	}
}

// readNotice reads the notice. One that cannot be read must not keep the copy from being brought up to date.
func (w *watch) readNotice() {
	notice, err := w.Exporter.notice()
	if err == nil {
		w.notice = notice
	} else if !w.unread {
		w.log.Warn().Err(err).Msg("notice unreadable; keeping the previous one")
	}
	w.unread = err != nil
}

// fail handles an export that failed: the copy shows the notice, and says that it is out of date when it is.
func (w *watch) fail(err error) {
	if w.failed.IsZero() {
		w.log.Warn().Err(err).Msg("export failed; the copy is unchanged")
		w.failed, w.announced = time.Now(), ""
	}
	mark := !w.marked && time.Since(w.failed) >= outOfDateAfter
	if w.notice == w.announced && !mark {
		return
	}
	if _, err := w.Exporter.announce(w.notice); err != nil {
		w.log.Warn().Err(err).Msg("notice not shown")
		return
	}
	w.announced, w.marked = w.notice, w.marked || mark
}
