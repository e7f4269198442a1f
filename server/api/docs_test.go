package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

//go:generate go test -run ^TestDocs$ -update .

// update writes the tables instead of comparing them.
var update = flag.Bool("update", false, "write the tables of docs/api.md")

// page is documentation: a story by hand, and tables that this test writes.
const page = "../../docs/api.md"

// marker begins what is written by the test; each table stands below its own.
const marker = "<!-- written by go generate ./server/api -->\n"

func TestDocs(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := withTables(t, string(text))
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Errorf("%s is not what the methods are; write it anew with: go generate ./server/api", page)
	}
}

// withTables puts today's tables below the markers of a page.
func withTables(t *testing.T, text string) string {
	parts := strings.Split(text, marker)
	if len(parts) != 4 {
		t.Fatalf("%s has %d markers, want three", page, len(parts)-1)
	}
	d := &describer{said: sentences(t), types: map[string]reflect.Type{}}
	for i, table := range []string{d.methods("Dotmesh."), d.methods("DotmeshRPC."), d.named()} {
		after := parts[i+1]
		for strings.HasPrefix(after, "|") {
			_, after, _ = strings.Cut(after, "\n")
		}
		parts[i+1] = table + after
	}
	return strings.Join(parts, marker)
}

// describer writes the tables.
type describer struct {
	said  map[string]string       // of each method of dotmesh.Service
	types map[string]reflect.Type // that were named and must be explained
}

// methods lists the methods that begin with prefix.
func (d *describer) methods(prefix string) string {
	var out strings.Builder
	out.WriteString("| method | parameters | result | who may | |\n|---|---|---|---|---|\n")
	methods, table := api.Methods(), rules()
	for _, method := range slices.Sorted(maps.Keys(methods)) {
		name, ok := strings.CutPrefix(method, prefix)
		if !ok {
			continue
		}
		said := ""
		if prefix == "Dotmesh." {
			said = d.said[name]
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", name, d.shape(methods[method][0], true), d.shape(methods[method][1], false), whoMay(method, table[method].who), said)
	}
	return out.String()
}

// named explains the types that the other tables name.
func (d *describer) named() string {
	rows := map[string]string{}
	for len(rows) < len(d.types) { // explaining one may name others
		for _, name := range slices.Sorted(maps.Keys(d.types)) {
			rows[name] = fmt.Sprintf("| %s | %s |\n", name, d.shape(d.types[name], true))
		}
	}
	var out strings.Builder
	out.WriteString("| type | |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		out.WriteString(rows[name])
	}
	return out.String()
}

// whoMay says in words who is not refused. A kind that is no refusal is about the table's
// parameters, not about the caller.
func whoMay(method string, v verdict) string {
	_, name, _ := strings.Cut(method, ".")
	lets := func(kind dotmesh.Kind) bool { return kind != nf && kind != no && kind != un }
	switch {
	case v == nobody:
		return "not yet"
	case slices.Contains([]string{"ResetKey", "ResetApiKey", "UpdatePassword", "AuthenticatedUser"}, name):
		return "anybody, by password"
	case slices.Contains([]string{"CancelTransfer", "RetryTransfer"}, name): // the table has none to try
		return "owner"
	case lets(v[1]):
		return "anybody"
	case lets(v[2]):
		return "collaborators"
	case lets(v[3]):
		return "owner"
	}
	return "administrator"
}

// shape shows what a type looks like as JSON. Its fields are shown if it is open, else it
// is named and explained later. A field that may be left out has a question mark.
func (d *describer) shape(t reflect.Type, open bool) string {
	switch t {
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[dotmesh.Bytes]():
		return "bytes"
	case reflect.TypeFor[json.RawMessage]():
		return "anything"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.shape(t.Elem(), open)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "base64"
		}
		return "[" + d.shape(t.Elem(), false) + "]"
	case reflect.Map:
		return "{" + d.shape(t.Key(), false) + ": " + d.shape(t.Elem(), false) + "}"
	case reflect.Struct:
		return d.object(t, open)
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "bool"
	case reflect.Array:
		return "id" // or a chain: text either way
	}
	return "number"
}

func (d *describer) object(t reflect.Type, open bool) string {
	switch {
	case t.NumField() == 0:
		return "nothing"
	case t.NumField() == 1 && t.Field(0).Type == reflect.TypeFor[dotmesh.UUID]():
		return "id"
	case open || t.NumField() <= 2:
		return "{" + strings.Join(d.fields(t), ", ") + "}"
	}
	d.types[t.Name()] = t
	return t.Name()
}

func (d *describer) fields(t reflect.Type) []string {
	var all []string
	for f := range t.Fields() {
		if f.Anonymous {
			all = append(all, d.fields(f.Type)...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		if options != "" {
			name += "?"
		}
		if inner := d.shape(f.Type, false); inner != "text" && inner != "id" {
			name += ": " + inner
		}
		all = append(all, name)
	}
	return all
}

// sentences are the first ones that dotmesh.Service says of its methods.
func sentences(t *testing.T) map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "../../service.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		methods, ok := n.(*ast.InterfaceType)
		if !ok {
			return true
		}
		for _, m := range methods.Methods.List {
			if len(m.Names) == 1 && m.Doc != nil {
				first, _, _ := strings.Cut(strings.Join(strings.Fields(m.Doc.Text()), " "), ". ")
				first = strings.TrimSuffix(strings.TrimPrefix(first, m.Names[0].Name+" "), ".")
				said[m.Names[0].Name] = strings.NewReplacer("[", "", "]", "", "|", "").Replace(first)
			}
		}
		return true
	})
	return said
}
