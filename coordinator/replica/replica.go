// Package replica serves a read-only copy of another coordinator's public site. It follows the original by the public
// HTTP API, stores what it read on disk, and goes on serving while the original is unreachable: every page, badge and
// status then states its age.
//
// A document is shown as current only if it was confirmed since the last change that the original announced, and the
// original was heard within the last 15 seconds. Other documents are requested when a reader asks for them. Nothing
// from the original is trusted: sizes, numbers and rates are bounded, and none of its scripts runs.
package replica

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/probemesh/probemesh/coordinator/mirror"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/dirlock"
	"github.com/probemesh/probemesh/pkg/privatefile"
)

const (
	// silentAfter is how long nothing may be heard of the original before the copy says that it is out of date.
	silentAfter = 15 * time.Second
	// doubtAfter is how long a document counts as confirmed: not all changes are announced.
	doubtAfter = 2 * time.Minute
	// walkEvery is the longest time between two walks over the site, walkPause the shortest, and allEvery how often a
	// walk includes the archive.
	walkEvery = 5 * time.Minute
	walkPause = 20 * time.Second
	allEvery  = time.Hour
	// pace is the time between two requests of a walk: the original accepts 50 a second from one client.
	pace = 50 * time.Millisecond
	// askRate bounds how many requests a second readers cause, and unknownRate those for addresses that the copy does not
	// have: anybody can invent them. With those of walks they are fewer than the original permits.
	askRate, unknownRate = 25, 3
	// changePause bounds how often the original may announce a change.
	changePause = 250 * time.Millisecond
	retryMin    = time.Second
	retryMax    = 30 * time.Second
	stateName   = "state.json"
	stateEvery  = 10 * time.Second
)

// Config is what a Replica needs.
type Config struct {
	Origin *mirror.Origin
	Dir    string
	Silent time.Duration // overrides silentAfter
	Logger zerolog.Logger
}

// Replica is a copy of a site. It is safe for concurrent use.
type Replica struct {
	origin  *mirror.Origin
	dir     string
	silent  time.Duration
	log     zerolog.Logger
	lock    *dirlock.Lock // of the directory; Run releases it
	store   *store
	asking  singleflight.Group
	known   *rate.Limiter // of requests that readers cause
	unknown *rate.Limiter // of those for addresses that the copy does not have
	streams *web.Streams
	walkNow chan struct{} // starts a walk after the original announced a change
	readNow chan struct{} // has the documents in first read at once, without waiting for the walk

	askContext context.Context // of what readers ask of the original, which several of them may wait for
	endAsks    context.CancelFunc
	asks       sync.RWMutex // held for reading while something is asked
	ended      bool         // nothing is asked any more

	mu      sync.Mutex
	heard   time.Time     // when the original was last heard
	change  time.Time     // when it last announced a change, or may have: a stream began
	changed chan struct{} // closed when readers may see something new
}

// state is what a restart must know besides the documents.
type state struct {
	From   string    `json:"from"`
	Heard  time.Time `json:"heard"`
	Change time.Time `json:"change"`
}

// Open returns a replica with the copy that the directory has. It locks the directory until Run has ended: two
// processes would remove each other's documents.
func Open(c Config) (*Replica, error) {
	lock, err := dirlock.Acquire(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("the copy's directory: %w; stop that process, or name another directory with --data",
			err)
	}
	r, err := open(c)
	if err != nil {
		_ = lock.Release()
		return nil, err
	}
	r.lock = lock
	return r, nil
}

func open(c Config) (*Replica, error) {
	s, err := openStore(c.Dir)
	if err != nil {
		return nil, err
	}
	r := &Replica{
		origin: c.Origin, dir: c.Dir, silent: cmp.Or(c.Silent, silentAfter), log: c.Logger, store: s,
		known:   rate.NewLimiter(askRate, askRate),
		unknown: rate.NewLimiter(unknownRate, unknownRate),
		streams: web.NewStreams(web.StreamsConfig{}), changed: make(chan struct{}),
		walkNow: make(chan struct{}, 1), readNow: make(chan struct{}, 1),
	}
	r.origin.Pace = pace
	r.askContext, r.endAsks = context.WithCancel(context.Background())
	var past state
	data, err := os.ReadFile(filepath.Join(c.Dir, stateName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil || json.Unmarshal(data, &past) != nil || past.From != c.Origin.Base.String() {
		for _, address := range s.addresses() { // of another site, or nobody knows of which
			s.remove(address)
		}
	} else if now := time.Now(); !past.Heard.After(now) && !past.Change.After(now) {
		r.heard, r.change = past.Heard, past.Change
	}
	return r, r.save()
}

// Run follows the original until ctx ends.
func (r *Replica) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, task := range []func(context.Context){r.follow, r.walk, r.readFirst, r.keepState} {
		running.Go(func() { task(ctx) })
	}
	running.Wait()
	r.endAsks()
	r.asks.Lock() // once those that run have ended
	r.ended = true
	r.asks.Unlock()
	return errors.Join(r.save(), r.lock.Release())
}

// follow receives the events of the original, and reconnects until ctx ends.
func (r *Replica) follow(ctx context.Context) {
	wait, silent := retryMin, false
	for ctx.Err() == nil {
		err := r.origin.Follow(ctx, func(e mirror.Event) {
			if silent {
				r.log.Info().Msg("original reachable again")
			}
			wait, silent = retryMin, false
			r.hear(ctx, e.Type)
		})
		if ctx.Err() != nil {
			return
		}
		if !silent {
			r.log.Warn().Err(err).Msg("original unreachable; serving the stored copy")
		}
		silent = true
		sleep(ctx, wait+rand.N(wait/2))
		wait = min(2*wait, retryMax)
	}
}

// hear handles an event of the original.
func (r *Replica) hear(ctx context.Context, event string) {
	now := time.Now()
	announces := event == "page" || event == "status"
	r.mu.Lock()
	pause := changePause - now.Sub(r.change)
	if event == "beat" || announces {
		r.heard = now
	}
	if announces {
		r.change = now
	}
	r.mu.Unlock()
	if !announces {
		return
	}
	r.notify()
	for _, wake := range []chan struct{}{r.walkNow, r.readNow} {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	if pause > 0 {
		sleep(ctx, pause)
	}
}

// notify wakes the event streams of readers.
func (r *Replica) notify() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

// changes returns a channel that is closed when readers may see something new.
func (r *Replica) changes() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// times returns when the original was last heard, and when it last announced a change.
func (r *Replica) times() (heard, change time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard, r.change
}

// first are the documents that readers look at first.
var first = []string{"/", "/api/v2/summary.json", "/api/v2/status.json", "/badge.svg"}

// readFirst reads them whenever the original announces a change.
func (r *Replica) readFirst(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.readNow:
			for _, address := range first {
				r.ask(ctx, address)
			}
		}
	}
}

// walk keeps the whole copy up to date, also the documents that no reader requests.
func (r *Replica) walk(ctx context.Context) {
	var all time.Time
	failed := false
	for ctx.Err() == nil {
		whole := time.Since(all) > allEvery
		err := r.walkOnce(ctx, whole)
		if err == nil && whole {
			all = time.Now()
		}
		if err != nil && !failed && ctx.Err() == nil {
			r.log.Warn().Err(err).Msg("original could not be read; serving the stored copy")
		}
		failed = err != nil
		sleep(ctx, walkPause)
		select {
		case <-ctx.Done():
		case <-r.walkNow:
		case <-time.After(walkEvery):
		}
	}
}

func (r *Replica) walkOnce(ctx context.Context, all bool) error {
	c := &copied{Replica: r}
	walked, err := r.origin.Walk(ctx, c, all)
	if err == nil && c.archive && !all { // something was written: other pages of the archive may have changed
		walked, err = r.origin.Walk(ctx, c, true)
	}
	if err != nil {
		return err
	}
	for _, address := range r.store.addresses() {
		if !walked.Seen[address] {
			r.store.remove(address)
		}
	}
	if len(walked.Failed) > 0 {
		r.log.Warn().Errs("documents", walked.Failed[:min(len(walked.Failed), 3)]).Msg("documents not copied")
	}
	return nil
}

// keepState records when the original was heard.
func (r *Replica) keepState(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, stateEvery)
		if err := r.save(); err != nil {
			r.log.Warn().Err(err).Msg("state not saved")
		}
	}
}

func (r *Replica) save() error {
	heard, change := r.times()
	data, err := json.Marshal(state{r.origin.Base.String(), heard, change})
	if err != nil {
		return err
	}
	return privatefile.Write(filepath.Join(r.dir, stateName), data)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// copied is the copy, for a walk.
type copied struct {
	*Replica
	archive bool // the archive has changed
}

// Known returns what the copy has of a document.
func (c *copied) Known(address string) (mirror.Known, bool) {
	d := c.store.get(address)
	if d == nil || d.Address != address {
		return mirror.Known{}, false
	}
	return mirror.Known{ETag: d.ETag, Links: d.links}, true
}

// Same records that a document is as the copy has it.
func (c *copied) Same(address string, asked time.Time) {
	if d := c.store.get(address); d != nil {
		d.check(asked)
	}
}

// Store stores a document. When the copy is full, it logs that and leaves the document out.
func (c *copied) Store(d mirror.Document, links []string, asked time.Time) error {
	c.archive = c.archive || mirror.OfArchive(d.Address)
	if err := c.store.add(&document{Document: d, links: links, checked: asked}); err != nil {
		c.log.Warn().Err(err).Str("address", d.Address).Msg("document not stored")
	}
	if d.IsPage() {
		c.notify()
	}
	return nil
}
