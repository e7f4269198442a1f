package verbs_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

// FuzzDecode decodes what anybody may have put into etcd. What is accepted must belong at
// its key, must survive being written again together with all that is not understood, and
// must stay as it is from then on.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		record, err := verbs.Decode(key, value)
		if err != nil {
			if kind := dotmesh.KindOf(err); kind == dotmesh.Internal || dotmesh.Text(err) == "" {
				t.Fatalf("Decode(%q, %q) = %v, of kind %q", key, value, err, kind)
			}
			return
		}
		if record == nil {
			return // no record of its own
		}
		if got := verbs.Identity(record); got != key {
			t.Fatalf("a value at %q belongs at %q", key, got)
		}
		written, err := verbs.Merge(value, record)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		again, err := verbs.Decode(key, written)
		if err != nil || !verbs.Same(again, record) {
			t.Fatalf("%s was written as %s, which is %+v, %v and was %+v", value, written, again, err, record)
		}
		if twice, err := verbs.Merge(written, again); err != nil || !reflect.DeepEqual(object(t, twice), object(t, written)) {
			t.Fatalf("%s is written again as %s, %v", written, twice, err)
		}
		checkUnknown(t, value, written, record)
	})
}

// checkUnknown checks that the fields of old which no field of record has are in written.
func checkUnknown(t *testing.T, old, written []byte, record dotmesh.Record) {
	t.Helper()
	before, after := object(t, old), object(t, written)
	known := map[string]bool{"v": true}
	for field := range reflect.TypeOf(record).Elem().Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		known[tag] = true
	}
	for name := range before {
		folded := false
		for k := range known {
			folded = folded || strings.EqualFold(k, name)
		}
		if _, there := after[name]; !there && !folded {
			t.Fatalf("%q is lost between %s and %s", name, old, written)
		}
	}
}

func object(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatalf("%s is no object: %v", text, err)
	}
	return fields
}

func TestDecodeRefuses(t *testing.T) {
	node := `"id":"aaaaaaaaaaaaaaaa","name":"a","pool":"","version":""`
	for name, c := range map[string]struct {
		key, value string
		kind       dotmesh.Kind
	}{
		"a later format":             {"nodes/aaaaaaaaaaaaaaaa", `{"v":2,` + node + `}`, dotmesh.Unsupported},
		"a format that is no number": {"nodes/aaaaaaaaaaaaaaaa", `{"v":"x",` + node + `}`, dotmesh.Corrupt},
		"half a format":              {"nodes/aaaaaaaaaaaaaaaa", `{"v":1.5,` + node + `}`, dotmesh.Unsupported},
		"no format":                  {"nodes/aaaaaaaaaaaaaaaa", `{` + node + `}`, dotmesh.Corrupt},
		"another's value":            {"nodes/bbbbbbbbbbbbbbbb", `{"v":1,` + node + `}`, dotmesh.Corrupt},
		"a list":                     {"nodes/aaaaaaaaaaaaaaaa", `[]`, dotmesh.Corrupt},
		"nothing":                    {"nodes/aaaaaaaaaaaaaaaa", ``, dotmesh.Corrupt},
		"an unknown collection":      {"secrets/1", `{"v":1}`, dotmesh.Unsupported},
		"a part too many":            {"cluster/1", `{"v":1}`, dotmesh.Corrupt},
		"a number without padding":   {"commits/0b5f7c1e-3f0a-4d2b-9f57-6a2b8c1d9e40/1", `{"v":1}`, dotmesh.Corrupt},
		"an id in capitals":          {"lines/0B5F7C1E-3F0A-4D2B-9F57-6A2B8C1D9E40", `{"v":1}`, dotmesh.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verbs.Decode(c.key, []byte(c.value))
			if dotmesh.KindOf(err) != c.kind {
				t.Errorf("err = %v, of kind %q, want %q", err, dotmesh.KindOf(err), c.kind)
			}
		})
	}
}
