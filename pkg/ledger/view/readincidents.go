package view

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
)

// IncidentsMax bounds the incidents of one answer.
const IncidentsMax = 500

// IncidentQuery selects incidents, newest first.
type IncidentQuery struct {
	Since         time.Time // mesh time: those that are open or were resolved since
	From, Until   time.Time // mesh time: those that were opened in between; zero: no bound
	Limit, Offset int       // at most Limit, and at most IncidentsMax, after the first Offset
	// Public selects those that the public may see at a time, with at least one of the hosts with these keys, which are
	// those that are public. No incident has a part of another host. nil selects all, for operators.
	Public *PublicIncidents
}

// PublicIncidents is the public's part of the incidents.
type PublicIncidents struct {
	At    time.Time // mesh time
	Hosts []string
}

// Incidents returns the incidents that a query selects, without those that are continued in another one.
func (v *View) Incidents(ctx context.Context, q IncidentQuery) ([]*incident.Incident, error) {
	where, args := `resolved >= ? AND merged = ''`, []any{max(1, nanoseconds(q.Since))}
	if q.Since.IsZero() {
		// Nearly all are resolved: the plus has SQLite read them by when they were opened, and only the first ones.
		where = "+" + where
	}
	if !q.From.IsZero() {
		where, args = where+` AND opened >= ?`, append(args, nanoseconds(q.From))
	}
	if !q.Until.IsZero() {
		where, args = where+` AND opened < ?`, append(args, nanoseconds(q.Until))
	}
	if q.Public != nil {
		keys, err := json.Marshal(append([]string{}, q.Public.Hosts...))
		if err != nil {
			return nil, fmt.Errorf("read incidents: %w", err)
		}
		where += ` AND public <= ? AND EXISTS (
			SELECT 1 FROM json_each(CAST(data AS TEXT), '$.hosts') AS part
			WHERE lower(json_extract(part.value, '$.name')) IN (SELECT value FROM json_each(?)))`
		args = append(args, nanoseconds(q.Public.At), string(keys))
	}
	args = append(args, max(0, min(q.Limit, IncidentsMax)), max(0, q.Offset))
	rows, err := v.db.QueryContext(ctx, `SELECT data FROM incidents WHERE `+where+`
		ORDER BY opened DESC, id LIMIT ? OFFSET ?`, args...)
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	all, err := scanIncidents(rows)
	if err == nil {
		err = fillTexts(ctx, v.db, all)
	}
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	if q.Public == nil {
		return all, nil
	}
	var out []*incident.Incident
	for _, i := range all {
		if part := i.Only(q.Public.Hosts); part != nil {
			out = append(out, part)
		}
	}
	return out, nil
}

// Incident returns the incident with the id; nil if there is none. One that another incident continues has no more than
// that one's id in Merged.
func (v *View) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	i, err := incidentByID(ctx, v.db, id)
	if err == nil && i != nil {
		err = fillTexts(ctx, v.db, []*incident.Incident{i})
	}
	if err != nil {
		return nil, fmt.Errorf("read an incident: %w", err)
	}
	return i, nil
}
