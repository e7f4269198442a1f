package fastjson_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fastjson"
)

// values are pointers to what is read with this package.
func values() []any {
	return []any{
		new(dotmesh.DotStatus), new(dotmesh.Entry), new(dotmesh.Event), new(dotmesh.Checked),
		new(dotmesh.Cluster), new(dotmesh.Node), new(dotmesh.Alive), new(dotmesh.Dot), new(dotmesh.Branch),
		new(dotmesh.Line), new(dotmesh.Commit), new(dotmesh.Position), new(dotmesh.Attachment),
		new(dotmesh.Tombstone), new(dotmesh.User), new(dotmesh.Op),
	}
}

// FuzzUnmarshal reads the same text with both packages into each type.
func FuzzUnmarshal(f *testing.F) {
	for _, text := range []string{
		`null`, `{}`, `[]`, `"text"`, `{"v":1}`, `{"id":"x"}`, `{"ID":null,"id":null}`, `{} {}`, `{"name":{"namespace":"a","name":"b"}}`,
		`{"id":"11a2ae39-eec4-8318-ab36-5a44047a3aaa","name":{"namespace":"admin","name":"shop"},"owner":"00000000-0000-0000-0000-000000000000",` +
			`"created":"2026-11-26T01:14:56.499921526Z","branch":{"name":"master","pointer":{"seq":10,"master":"fd3ba91be1d89259","epoch":1,` +
			`"state":{"phase":"held"}},"current":true,"size":0,"dirty":{"bytes":0,"as_of":"0001-01-01T00:00:00Z","exact":false}},"branches":1}`,
		`{"line":"abf92aee-12f7-8634-bc27-590da1511d04","seq":3,"kind":"user","message":"<é\u2028\ud800","metadata":{"b":"2","a":"1","a":"3"},"time":"2026-11-26T01:14:56Z","v":1}`,
		`{"seq":1.5}`, `{"seq":-1}`, `{"seq":"1"}`, `{"seq":1e2}`, `{"created":"yesterday"}`, `{"message":"` + "\xff" + `"}`, `{"key":"a","value":"AQ=="}`, `{"key":"a","value":"?"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		slow, fast := values(), values()
		for i := range slow {
			wantErr, gotErr := json.Unmarshal(text, slow[i]), fastjson.Unmarshal(text, fast[i])
			if (gotErr == nil) != (wantErr == nil) {
				t.Fatalf("%T: got the error %v, want %v", slow[i], gotErr, wantErr)
			}
			if wantErr != nil {
				continue // what was read up to there is of no use
			}
			if !reflect.DeepEqual(fast[i], slow[i]) {
				t.Fatalf("%T: got %+v, want %+v", slow[i], fast[i], slow[i])
			}
		}
	})
}
