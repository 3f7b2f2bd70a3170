package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/persist"
)

const (
	// momentEvery is how often the judge's state is saved at least, in mesh time. A busy mesh saves it each time that
	// momentWork has come since, but not more often than momentLeast: a jump into the past replays at most that much.
	momentEvery = 5 * time.Minute
	momentLeast = 5 * time.Second
	// momentWork is how many bytes of messages are judged between two saved states: the cost of a replay grows with them.
	// A larger state is saved after half as many bytes as it has, so that a judge of a thousand hosts does not spend its
	// time on saving, and that a replay takes about as long as the reading of the state.
	momentWork = 1 << 20
	// messageWork is what a message costs beside its bytes.
	messageWork = 200
	momentBytes = 64 << 20 // one state, decompressed: a thousand hosts take 5 MB
)

// Moments are the judge's saved states of the last two days, as files of one directory. They are a cache: without them,
// the past is replayed from further back. It is safe for concurrent use.
type Moments struct {
	dir    string // of this build: the states of another one may have other fields
	logger zerolog.Logger
	write  chan savedMoment
	packer *zstd.Encoder

	mu   sync.Mutex
	all  []moment  // by time
	last time.Time // the latest that the judge saved, or is about to
	size int       // of that, before compression
}

// moment is a saved state: the judge was done with the message of this sequence.
type moment struct {
	at       time.Time // mesh time of the message
	sequence uint64
	size     int64 // of its file
}

type savedMoment struct {
	moment
	data   []byte
	encode func() []byte // returns the data of a state that a jump replayed; nil: it is of the judge of the present
}

func (m moment) name() string {
	return fmt.Sprintf("%d.%09d-%d.state", m.at.Unix(), m.at.Nanosecond(), m.sequence)
}

// OpenMoments opens the directory, which it creates, and forgets states of other builds. Without a directory it returns
// nil, which saves nothing.
func OpenMoments(dir string, l zerolog.Logger) (*Moments, error) {
	if dir == "" {
		return nil, nil
	}
	build := buildID()
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	m := &Moments{dir: filepath.Join(dir, build), logger: l, write: make(chan savedMoment, 1), packer: packer}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, err
	}
	builds, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, b := range builds {
		if b.Name() != build {
			_ = os.RemoveAll(filepath.Join(dir, b.Name()))
		}
	}
	return m, m.list()
}

// list finds the states that are there already.
func (m *Moments) list() error {
	files, err := os.ReadDir(m.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		var seconds, nanos int64
		var one moment
		info, err := f.Info()
		_, scanned := fmt.Sscanf(f.Name(), "%d.%d-%d.state", &seconds, &nanos, &one.sequence)
		one.at = time.Unix(seconds, nanos)
		if err != nil || scanned != nil || one.name() != f.Name() { // one that was being written, too
			_ = os.RemoveAll(filepath.Join(m.dir, f.Name()))
			continue
		}
		one.size = info.Size()
		m.all = append(m.all, one)
		m.last = later(m.last, one.at)
	}
	slices.SortFunc(m.all, moment.compare)
	return nil
}

// buildID identifies the program's build, and with that the fields of a state.
func buildID() string {
	text := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		text = info.String()
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// Run writes saved states until ctx ends, so that the judge does not wait for the disk.
func (m *Moments) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-m.write:
			if err := m.store(s); err != nil {
				m.logger.Warn().Err(err).Msg("state for jumps into the past not saved")
			}
		}
	}
}

// due reports whether the state at the mesh time must be saved, since so much work came after the one before. A time
// before that one's shows that the states are of another stream, whose clock was ahead.
func (m *Moments) due(at time.Time, work int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := at.Sub(m.last)
	busy := work >= max(momentWork, m.size/2) && after >= momentLeast
	if after >= 0 && after < momentEvery && !busy {
		return false
	}
	m.last = at
	return true
}

// save saves a state in the background. One that comes while others wait is left out.
func (m *Moments) save(s savedMoment) {
	if s.encode == nil {
		m.mu.Lock()
		m.size = len(s.data)
		m.mu.Unlock()
	}
	select {
	case m.write <- s:
	default:
	}
}

func (m *Moments) store(s savedMoment) error {
	if s.encode != nil {
		s.data = s.encode()
	}
	packed := m.packer.EncodeAll(s.data, nil)
	name := filepath.Join(m.dir, s.name())
	if err := os.WriteFile(name+".new", packed, 0o600); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	s.size = int64(len(packed))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(s.moment, s.encode != nil)
	return nil
}

// before returns the newest saved state at or before the mesh time that is not older than a start would replay.
func (m *Moments) before(at time.Time) (moment, bool) {
	if m == nil {
		return moment{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, found := slices.BinarySearchFunc(m.all, at, func(one moment, at time.Time) int { return one.at.Compare(at) })
	if !found {
		i--
	}
	if i < 0 || at.Sub(m.all[i].at) > replayed {
		return moment{}, false
	}
	return m.all[i], true
}

// read returns a saved state.
func (m *Moments) read(one moment) ([]byte, error) {
	packed, err := os.ReadFile(filepath.Join(m.dir, one.name()))
	if err != nil {
		return nil, err
	}
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(momentBytes))
	if err != nil {
		return nil, err
	}
	defer unpacker.Close()
	return unpacker.DecodeAll(packed, nil)
}

// forget removes a state that cannot be used: it is damaged, or of a stream that was recreated.
func (m *Moments) forget(one moment, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = slices.DeleteFunc(m.all, func(o moment) bool { return o == one })
	_ = os.Remove(filepath.Join(m.dir, one.name()))
	m.logger.Warn().Err(cmp.Or(why, errStale)).Time("at", one.at).Msg("saved state unusable")
}

// errStale reports a saved state whose message is not in the stream.
var errStale = errors.New("the stream was recreated since")

// saveMoment saves the judge's state after a message, if it is due.
func saveMoment(e *Engine, m message) {
	if e.config.Moments == nil || !e.present {
		return
	}
	e.unsaved += len(m.Data) + messageWork
	if !e.config.Moments.due(m.at, e.unsaved) {
		return
	}
	e.unsaved = 0
	data := encodeMoment(e.judge, e.decoder, e.judging.Revision)
	e.config.Moments.save(savedMoment{moment: moment{at: m.at, sequence: m.Sequence}, data: data})
}

func encodeMoment(j *judge.Judge, d *decoder, revision string) []byte {
	w := persist.Writer()
	state := momentState{revision: revision, judge: j.Save()}
	state.walk(w)
	d.filter.Persist(w)
	return w.Bytes()
}

// momentState is what a saved state has beside the accounts of agents.
type momentState struct {
	revision string // the catalog in force
	judge    []byte
}

func (s *momentState) walk(w *persist.Walk) {
	persist.Text(w, &s.revision)
	judge := string(s.judge)
	persist.Text(w, &judge)
	s.judge = []byte(judge)
}
