package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Servers answer a question about their logs at their own pace, and nobody knows how many there are.
const logsWait = 2 * time.Second

// LogEnd returns the position of the newest entry in the log of a replicated stream; 0 if the stream has no replicas.
// What the stream erased before is in no entry after it.
func (s *Server) LogEnd(ctx context.Context, stream string) (position uint64, err error) {
	logs, _, err := s.logs(ctx, stream)
	for _, l := range logs {
		position = max(position, l.PIndex)
	}
	return position, err
}

// LogsPassed reports whether every server that has a replica of the stream has removed the entries of its log up to the
// position, which it does with each snapshot of the stream. A server that does not answer may still have them.
func (s *Server) LogsPassed(ctx context.Context, stream string, position uint64) (bool, error) {
	logs, replicas, err := s.logs(ctx, stream)
	if err != nil || len(logs) < replicas {
		return false, err
	}
	for _, l := range logs {
		if l.WAL.FirstSeq <= position {
			return false, nil
		}
	}
	return true, nil
}

// logs returns the logs of a stream, of the servers that answer, and how many there are.
func (s *Server) logs(ctx context.Context, stream string) (logs []natsd.RaftzGroup, replicas int, err error) {
	ctx, cancel := context.WithTimeout(ctx, systemWait)
	defer cancel()
	group, replicas, err := s.raftGroup(ctx, stream)
	if err != nil || group == "" {
		return nil, replicas, err
	}
	conn, err := s.connect("system", "logs", nats.NoReconnect(), nats.Timeout(systemWait))
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	account := s.trust.public["mesh"]
	request, err := json.Marshal(natsd.RaftzOptions{AccountFilter: account, GroupFilter: group})
	if err != nil {
		return nil, 0, err
	}
	inbox := conn.NewRespInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err == nil {
		err = conn.PublishRequest("$SYS.REQ.SERVER.PING.RAFTZ", inbox, request)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("ask the NATS servers for their logs: %w", err)
	}
	for end := time.Now().Add(logsWait); len(logs) < replicas; {
		m, err := answers.NextMsg(time.Until(end))
		if errors.Is(err, nats.ErrTimeout) {
			break
		}
		if err != nil {
			return nil, 0, fmt.Errorf("ask the NATS servers for their logs: %w", err)
		}
		var answer struct{ Data natsd.RaftzStatus }
		if json.Unmarshal(m.Data, &answer) == nil {
			if l, has := answer.Data[account][group]; has {
				logs = append(logs, l)
			}
		}
	}
	return logs, replicas, nil
}

// raftGroup returns the name of the group of servers that replicate a stream, and how many they are; "" if the stream
// has no replicas.
func (s *Server) raftGroup(ctx context.Context, stream string) (group string, replicas int, err error) {
	streams, err := s.Streams()
	if err != nil {
		return "", 0, err
	}
	defer streams.Close()
	var info struct {
		Config struct {
			Replicas int `json:"num_replicas"`
		}
		Cluster struct {
			Group string `json:"raft_group"`
		}
	}
	if err := streams.call(ctx, fmt.Sprintf(natsd.JSApiStreamInfoT, stream), struct{}{}, &info); err != nil {
		return "", 0, fmt.Errorf("stream %s: %w", stream, err)
	}
	if info.Config.Replicas < 2 {
		return "", info.Config.Replicas, nil
	}
	if info.Cluster.Group == "" {
		return "", 0, fmt.Errorf("stream %s: the server does not name its group", stream)
	}
	return info.Cluster.Group, info.Config.Replicas, nil
}
