package penetration_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
)

// TestPenetration tries everything forbidden with a valid agent's credentials, and without credentials. With -v it
// prints each attack and how it was refused.
func TestPenetration(t *testing.T) {
	w := newWorld(t)
	defer w.report()
	w.forbiddenSubjects()
	w.replyTricks()
	w.headers()
	w.oversize()
	w.names()
	w.badCredentials()
	w.controlMessages()
	w.flood()
}

// apiCalls are calls of JetStream's API.
var apiCalls = []string{
	"INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.CREATE.X", "STREAM.UPDATE.OBS", "STREAM.DELETE.LEDGER",
	"STREAM.PURGE.OBS",
	"STREAM.INFO.LEDGER", "STREAM.MSG.GET.LEDGER", "STREAM.MSG.DELETE.LEDGER", "STREAM.SNAPSHOT.LEDGER",
	"STREAM.RESTORE.LEDGER",
	"STREAM.LEADER.STEPDOWN.OBS", "STREAM.PEER.REMOVE.OBS", "CONSUMER.CREATE.LEDGER", "CONSUMER.CREATE.OBS.x.mesh.obs.*",
	"CONSUMER.DURABLE.CREATE.OBS.x", "CONSUMER.LIST.OBS", "CONSUMER.DELETE.OBS.x", "CONSUMER.MSG.NEXT.OBS.x",
	"DIRECT.GET.LEDGER",
	"DIRECT.GET.LEDGER.mesh.led.epoch", "DIRECT.GET.KV_enrolment.$KV.enrolment.token", "META.LEADER.STEPDOWN",
	"ACCOUNT.PURGE.x",
}

// forbiddenPublications are subjects on which neither an agent nor a client without credentials may publish.
func forbiddenPublications() []string {
	out := []string{
		bus.SubjectObservations + other, bus.SubjectObservations + "*", bus.SubjectObservations + ">", "mesh.obs", "mesh.>",
		">", "*",
		bus.SubjectObservations + own + ".more", bus.SubjectObservations + strings.ToUpper(own), bus.SubjectAsk + other,
		bus.SubjectAsk + "*", bus.SubjectMark + "tick", bus.SubjectMark + "catalog", bus.SubjectMark + "roster",
		bus.SubjectLedger + "epoch", bus.SubjectLedger + "status." + own, bus.SubjectLedger + "agent.nc099",
		bus.SubjectRollup + bus.RollupEpoch, bus.SubjectRollup + "1-1-9",
		bus.SubjectControlAll, bus.SubjectControl + other + ".look", bus.SubjectControl + own + ".look", "$KV.lease.leader",
		"$KV.enrolment.token.x", "$KV.operators.root", "$O.x.C.y", "$JS.ACK.OBS.x.1.1.1.1.0", "$JS.FC.OBS.x.y",
		"$JS.EVENT.ADVISORY.x",
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.x.CONNZ", "$SYS.REQ.CLAIMS.UPDATE",
		"$SYS.REQ.CLAIMS.DELETE", "$SYS.REQ.USER.INFO", "$SYS.ACCOUNT.x.CONNECT", "$SRV.PING", "$NRG.AE.x", "$MQTT.sess.x",
		"$G.x", "_INBOX.x", "_INBOX_" + other + ".x", "_INBOX_" + own + ".x", "_R_.x", "_GR_.x",
	}
	for _, call := range apiCalls {
		out = append(out, "$JS.API."+call)
	}
	return out
}

// forbiddenSubscriptions are subjects to which neither may subscribe, some with a queue group that would divert
// messages.
var forbiddenSubscriptions = []string{
	">", "*", "*.>", "mesh.>", "mesh.*.>", "mesh.obs.>", "mesh.obs.*", "mesh.obs." + other, "mesh.obs." + own,
	"mesh.mark.>",
	"mesh.rollup.>",
	"mesh.led.>", "mesh.ctl.>", "mesh.ctl.*", "mesh.ctl." + other + ".>", "mesh.ctl.*.>", "mesh.ask.>", "enrol.request",
	"mesh.ask.* coordinators", "mesh.ask." + other + " coordinators", "mesh.obs.* coordinators",
	"enrol.request coordinators",
	"_INBOX_" + other + ".>", "_INBOX_>", "_R_.>", "_GR_.>", "$JS.>", "$JS.ACK.>", "$JS.API.>", "$JS.EVENT.>", "$KV.>",
	"$O.>",
	"$SYS.>", "$SYS.ACCOUNT.>", "$SYS.REQ.>", "$SRV.>", "$NRG.>",
}

func (w *world) forbiddenSubjects() {
	for _, subject := range append(forbiddenPublications(), bus.SubjectEnrol) {
		w.forbidden("agent", "publish on "+subject, pub(subject, "_INBOX_"+own+".1", "{}"))
	}
	for _, subject := range append(forbiddenSubscriptions, "_INBOX.>", "_INBOX.x") {
		w.forbidden("agent", "subscribe to "+subject, "SUB "+subject+" 1\r\n")
	}
	for _, subject := range append(forbiddenPublications(), bus.SubjectObservations+own, bus.SubjectAsk+own) {
		w.forbidden("anonymous", "publish on "+subject, pub(subject, "_INBOX.1", "{}"))
	}
	for _, subject := range append(forbiddenSubscriptions, bus.SubjectControlAll, "_INBOX_"+own+".>") {
		w.forbidden("anonymous", "subscribe to "+subject, "SUB "+subject+" 1\r\n")
	}
}

// forbidden sends text that the server must refuse because of permissions, and for no other reason.
func (w *world) forbidden(who, what, text string) {
	w.t.Helper()
	w.attempt(who, what, func() error {
		dial := w.anonymous
		if who == "agent" {
			dial = func() *rawConn { return w.agent(own) }
		}
		err := dial().send(text)
		if err != nil && !strings.Contains(err.Error(), "Permissions Violation") {
			w.t.Errorf("%s: %s: %v, want a permissions violation", who, what, err)
		}
		return err
	})
}

// errNoEffect reports that the server accepted an attack, which then had no effect.
var errNoEffect = errors.New("accepted without effect: nothing is stored or delivered there")

// replies are subjects to which an attacker would have the server send its acknowledgement or a coordinator its answer.
var replies = []string{
	bus.SubjectObservations + other, bus.SubjectObservations + "*", bus.SubjectMark + "tick", bus.SubjectMark + "catalog",
	bus.SubjectLedger + "epoch", bus.SubjectLedger + "status." + own, "$KV.lease.leader", "$KV.enrolment.token.x",
	bus.SubjectRollup + bus.RollupEpoch,
	"$JS.API.STREAM.PURGE.OBS", "$JS.API.STREAM.DELETE.LEDGER", "$SYS.REQ.SERVER.PING", "$SYS.REQ.CLAIMS.UPDATE",
	bus.SubjectAsk + other, bus.SubjectControlAll, bus.SubjectControl + other + ".look", "_INBOX_" + other + ".x",
	"_INBOX.x", "_R_.x.y",
	"_GR_.x.y", bus.SubjectEnrol,
}

func (w *world) replyTricks() {
	for i, reply := range replies {
		agent := w.agent(own)
		w.attempt("agent", "publish on "+bus.SubjectObservations+own+" with the reply "+reply, func() error {
			return w.await(agent, agent.send(pub(bus.SubjectObservations+own, reply, "{}")))
		})
		thief := fmt.Sprintf("thief-%d", i) // one each, because of the rate limit
		w.ids[thief] = w.issue(thief)
		agent = w.agent(thief)
		w.attempt("agent", "ask for the catalog with the reply "+reply, func() error {
			if err := agent.send(pub(bus.SubjectAsk+thief, reply, "")); err != nil {
				return err
			}
			_, err := w.inside.Request(bus.SubjectAsk+thief+"-end", nil, answerWait)
			must(w.t, err)
			return errNoEffect
		})
		anonymous := w.anonymous()
		w.attempt("anonymous", "send a join request with the reply "+reply, func() error {
			must(w.t, anonymous.send("SUB _INBOX.end 9\r\n"))
			if err := anonymous.send(pub(bus.SubjectEnrol, reply, "{}") +
				pub(bus.SubjectEnrol, "_INBOX.end", "{}")); err != nil {
				return err
			}
			_, err := anonymous.answer()
			must(w.t, err)
			return errNoEffect
		})
	}
}

// await waits until the server has handled what was sent before: it acknowledges an ordinary batch that follows.
func (w *world) await(agent *rawConn, err error) error {
	if err != nil {
		return err
	}
	must(w.t, agent.send("SUB _INBOX_"+own+".end 9\r\n"+pub(bus.SubjectObservations+own, "_INBOX_"+own+".end", "{}")))
	_, err = agent.answer()
	must(w.t, err)
	return errNoEffect
}

// controlHeaders are headers that change what a stream or the server does with a message.
var controlHeaders = []string{
	"Nats-Rollup: all", "Nats-Rollup: sub", "Nats-TTL: 1s", "Nats-TTL: never", "Nats-Incr: 1",
	"Nats-Batch-Id: x\r\nNats-Batch-Sequence: 1",
	"Nats-Batch-Id: x\r\nNats-Batch-Sequence: 1\r\nNats-Batch-Commit: 1",
	"Nats-Schedule: @at 2030-01-01T00:00:00Z\r\nNats-Schedule-Target: " + bus.SubjectLedger + "epoch",
	"Nats-Schedule: @every 1s\r\nNats-Schedule-Target: " + bus.SubjectObservations + other, "Nats-Expected-Stream: LEDGER",
	"Nats-Expected-Last-Sequence: 999999", "Nats-Expected-Last-Subject-Sequence: 999999",
	"Nats-Expected-Last-Msg-Id: other",
	"Nats-Msg-Id: known",
}

// ignoredHeaders are headers that a server might act on.
var ignoredHeaders = []string{
	"Nats-Trace-Dest: " + bus.SubjectLedger + "epoch", "Nats-Trace-Dest: " + bus.SubjectObservations + other,
	"Nats-Trace-Dest: _INBOX_" + other + ".x\r\nNats-Trace-Only: true",
	"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	"Nats-Request-Info: {\"acc\":\"MESH\",\"name\":\"coordinator\"}", "Nats-Stream-Source: OBS 1", "Nats-Subject: " +
		bus.SubjectLedger + "epoch",
	"Nats-Sequence: 1", "KV-Operation: PURGE", "Nats-Marker-Reason: Purge", "Status: 503",
	"Nats-Required-Api-Level: 99",
}

func (w *world) headers() {
	subject, inbox := bus.SubjectObservations+own, "_INBOX_"+own+".1"
	for _, h := range controlHeaders {
		agent := w.agent(own)
		w.attempt("agent", "header "+strings.ReplaceAll(h, "\r\n", ", "), func() error {
			if err := agent.send("SUB " + inbox + " 1\r\n" + hpub(subject, inbox, h+"\r\n", "{}")); err != nil {
				return err
			}
			answer, err := agent.answer()
			if err == nil && !strings.Contains(answer, `"error"`) && !strings.Contains(answer, `"duplicate"`) {
				return nil
			}
			return errors.Join(err, errors.New(answer))
		})
	}
	for _, h := range ignoredHeaders {
		agent := w.agent(own)
		w.attempt("agent", "header "+strings.ReplaceAll(h, "\r\n", ", "), func() error {
			return w.await(agent, agent.send(hpub(subject, inbox, h+"\r\n", "{}")))
		})
	}
}

func (w *world) oversize() {
	own, inbox := bus.SubjectObservations+own, "_INBOX_"+own+".1"
	for what, text := range map[string]string{
		"10 MB of JSON":             pub(own, inbox, `{"v":1,"o":[`+strings.Repeat(`{"h":"x"},`, 1<<20)+`]}`),
		"10 MB of headers":          hpub(own, inbox, "X: "+strings.Repeat("x", 10<<20)+"\r\n", "{}"),
		"140 kB, more than a batch": pub(own, inbox, strings.Repeat("x", 140_000)),
		"a subject of 8 kB":         pub(own+strings.Repeat(".x", 4096), inbox, "{}"),
		"a reply of 8 kB":           pub(own, inbox+strings.Repeat(".x", 4096), "{}"),
		"a negative length":         "PUB " + own + " -1\r\n",
		"a length of 4 GB":          "PUB " + own + " 4294967296\r\n",
		"headers longer than all":   "HPUB " + own + " 99 9\r\nNATS/1.0\r\n",
		"no protocol at all":        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		agent := w.agent(strings.TrimPrefix(own, bus.SubjectObservations))
		w.attempt("agent", what, func() error { return agent.send(text) })
	}
	agent := w.agent(strings.TrimPrefix(own, bus.SubjectObservations))
	w.attempt("agent", "more subscriptions than it needs", func() error {
		for i := range 100 {
			if err := agent.send(fmt.Sprintf("SUB %s.%d %d\r\n", inbox, i, i)); err != nil {
				return err
			}
		}
		return nil
	})
	anonymous := w.anonymous()
	w.attempt("anonymous", "send a join request of 3 kB",
		func() error { return anonymous.send(pub(bus.SubjectEnrol, "_INBOX.1", strings.Repeat("x", 3000))) })
	anonymous = w.anonymous()
	w.attempt("anonymous", "three subscriptions", func() error {
		return anonymous.send("SUB _INBOX.1 1\r\nSUB _INBOX.2 2\r\nSUB _INBOX.3 3\r\n")
	})
}

// controlMessages tries to keep control messages from other agents: by filling their queue, and by a queue group.
func (w *world) controlMessages() {
	id := w.issue("nc042")
	agent, err := busagent.Dial(w.t.Context(), busagent.Config{
		Name: "nc042", Endpoint: w.server.Endpoint(), JWT: id.token, Seed: id.seed, Logger: zerolog.Nop(),
	})
	must(w.t, err)
	defer agent.Close()
	_, err = agent.Catalog(w.t.Context(), bus.SealKey{1}) // it has subscribed
	must(w.t, err)
	acknowledged := pub(bus.SubjectObservations+own, bus.SubjectControl+"nc042.x", "{}")
	for what, text := range map[string]string{
		"fill another agent's queue of control messages with acknowledgements": strings.Repeat(acknowledged, 500),
		"divert control messages": "SUB " + bus.SubjectControlAll + " thieves 7\r\n", // by a queue group
	} {
		thief := w.agent(own)
		w.attempt("agent", what, func() error {
			if err := w.await(thief, thief.send(text)); !errors.Is(err, errNoEffect) {
				return nil
			}
			must(w.t, w.bus.Broadcast(w.t.Context(), []byte(`{"v":1}`)))
			if data := string(<-agent.Controls()); data != `{"v":1}` {
				return nil
			}
			w.victim.expect(w.t, `{"v":1}`)
			return errors.New("the other agents receive the coordinator's next message nevertheless")
		})
	}
}
