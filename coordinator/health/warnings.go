package health

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

// Warnings are what operators must fix, by subject. It is safe for concurrent use.
type Warnings struct {
	logger zerolog.Logger

	mu       sync.Mutex
	problems []string // of the catalog's file
	warnings map[string]string
	// parts are what a warning is made of, by subject: the agents of "silent". People are notified of each by itself.
	parts map[string]map[string]string
}

// NewWarnings makes an empty set of warnings that logs changes.
func NewWarnings(l zerolog.Logger) *Warnings {
	return &Warnings{logger: l, warnings: map[string]string{}, parts: map[string]map[string]string{}}
}

// Warn sets the subject's warning; an empty text clears it. Each change of the text is logged once.
func (w *Warnings) Warn(subject, text string) {
	switch before := w.set(subject, text); {
	case before == text:
	case text == "":
		w.logger.Info().Str("subject", subject).Str("was", before).Msg("warning cleared")
	default:
		w.logger.Warn().Str("subject", subject).Str("text", text).Msg("warning raised")
	}
}

// set sets the subject's warning without logging it.
func (w *Warnings) set(subject, text string) (before string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before = w.warnings[subject]
	if text == "" {
		delete(w.warnings, subject)
	} else {
		w.warnings[subject] = text
	}
	return before
}

// SetFileProblems replaces the mistakes in the catalog's file. The caller logs them, with the file as a field.
func (w *Warnings) SetFileProblems(problems []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = slices.Clone(problems)
}

// setParts sets what the subject's warning is made of, by name. A subject may have parts and no warning: pages show it
// elsewhere.
func (w *Warnings) setParts(subject string, parts map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parts[subject] = parts
}

// BySubject returns the warnings by their subjects. The mistakes in the catalog's file are the subject "catalog file".
func (w *Warnings) BySubject() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := maps.Clone(w.warnings)
	if len(w.problems) > 0 {
		out["catalog file"] = strings.Join(w.problems, "\n")
	}
	return out
}

// Each is BySubject with the parts of a warning in its place, as "SUBJECT-PART".
func (w *Warnings) Each() map[string]string {
	out := w.BySubject()
	w.mu.Lock()
	defer w.mu.Unlock()
	for subject, parts := range w.parts {
		delete(out, subject)
		for name, text := range parts {
			out[subject+"-"+name] = text
		}
	}
	return out
}

// List returns the mistakes in the catalog's file, then the warnings in the order of their subjects.
func (w *Warnings) List() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Clone(w.problems)
	for _, subject := range slices.Sorted(maps.Keys(w.warnings)) {
		out = append(out, w.warnings[subject])
	}
	return out
}
