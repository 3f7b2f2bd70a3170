package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/secret"
)

const mark = "xyzzy-7f3a"

// holder has the value in every place from which an encoder could read it.
type holder struct {
	Shown   secret.Text
	Pointer *secret.Text
	List    []secret.Text
	Map     map[string]secret.Text
	Any     any
	hidden  secret.Text
}

func marked() holder {
	t := secret.New(mark)
	return holder{t, &t, []secret.Text{t}, map[string]secret.Text{"k": t}, t, t}
}

func TestNoEncoderShowsASecret(t *testing.T) {
	v := marked()
	outputs := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%t", "%10.3s", "%w"} {
		outputs["fmt "+verb] = fmt.Sprintf(verb, v) + fmt.Sprintf(verb, v.Shown) + fmt.Sprintf(verb, &v) +
			fmt.Sprintf(verb, v.hidden)
	}
	text, err := json.Marshal(v)
	outputs["json"] = string(text)
	text, err2 := yaml.Marshal(v)
	outputs["yaml"] = string(text)
	text, err3 := xml.Marshal(v.Shown)
	outputs["xml"] = string(text)
	var binary, log, structured bytes.Buffer
	err4 := gob.NewEncoder(&binary).Encode(struct{ Shown secret.Text }{v.Shown})
	outputs["gob"] = binary.String()
	logger := zerolog.New(&log)
	logger.Info().Interface("v", v).Any("a", v.Shown).Stringer("s", v.Shown).Err(fmt.Errorf("x %v", v.Shown)).Send()
	outputs["zerolog"] = log.String()
	slog.New(slog.NewTextHandler(&structured, nil)).Info("x", "v", v, "t", v.Shown)
	slog.New(slog.NewJSONHandler(&structured, nil)).Info("x", "v", v, "t", v.Shown)
	outputs["slog"] = structured.String()
	outputs["error"] = errors.Join(fmt.Errorf("login: %w", fmt.Errorf("%+v", v))).Error()
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	hex := fmt.Sprintf("%x", mark)
	for name, out := range outputs {
		if strings.Contains(out, mark) || strings.Contains(strings.ToLower(out), hex) {
			t.Errorf("%s shows the secret: %s", name, out)
		}
	}
	for _, name := range []string{"fmt %v", "json", "yaml", "xml", "gob", "zerolog"} {
		if !strings.Contains(outputs[name], "[secret]") {
			t.Errorf("%s does not say that there is a secret: %s", name, outputs[name])
		}
	}
	if v.Shown.Reveal() != mark {
		t.Error("the value is lost")
	}
}

func TestDigestsDifferByKeyNameAndValue(t *testing.T) {
	base := secret.Digest([]byte("key"), "${A}", secret.New("v"))
	if len(base) != secret.DigestSize || base != secret.Digest([]byte("key"), "${A}", secret.New("v")) {
		t.Errorf("%q is not a stable digest", base)
	}
	for name, other := range map[string]string{
		"key":   secret.Digest([]byte("kex"), "${A}", secret.New("v")),
		"name":  secret.Digest([]byte("key"), "${B}", secret.New("v")),
		"value": secret.Digest([]byte("key"), "${A}", secret.New("w")),
		"split": secret.Digest([]byte("key"), "${A", secret.New("}v")),
	} {
		if other == base {
			t.Errorf("another %s has the same digest", name)
		}
	}
	if !secret.New("").Equal(secret.Text{}) || secret.New("a").Equal(secret.New("b")) {
		t.Error("Equal is wrong")
	}
}
