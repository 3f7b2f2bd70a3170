package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/meshtime"
)

// clock is a clock mark. A version that does not know it reads it as a tick.
type clock struct {
	V      int       `json:"v"`
	Epoch  uint64    `json:"epoch,string"`
	Offset int64     `json:"offset,omitempty"` // nanoseconds
	From   time.Time `json:"from,omitzero"`
	Now    time.Time `json:"now"`
}

// EncodeClock encodes the leader's offset. The epoch identifies the leader.
func EncodeClock(m meshtime.Mark, epoch uint64) ([]byte, error) {
	data, err := json.Marshal(clock{
		V: Version, Epoch: epoch, Offset: int64(m.Offset), From: m.From.UTC(), Now: m.Now.UTC(),
	})
	if err != nil {
		return nil, fmt.Errorf("encode clock: %w", err)
	}
	return data, nil
}

// DecodeClock decodes what EncodeClock wrote.
func DecodeClock(data []byte) (m meshtime.Mark, epoch uint64, err error) {
	var in clock
	if len(data) > ControlBytesMax {
		return m, 0, fmt.Errorf("decode clock: %w", ErrTooLarge)
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return m, 0, fmt.Errorf("decode clock: %w", err)
	}
	return meshtime.Mark{Offset: time.Duration(in.Offset), From: in.From, Now: in.Now}, in.Epoch, nil
}
