package verbs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fastjson"
)

// format is the version that every value carries as "v". A value with another one was
// written by another release and is refused.
const format = 1

// encode returns the value of a record. What old, the value that it replaces, holds and
// this program does not know stays in it.
func encode(old []byte, record any) ([]byte, error) {
	value, err := merge(old, reflect.ValueOf(record))
	if err != nil {
		return nil, err
	}
	value["v"] = json.RawMessage(fmt.Sprint(format))
	return json.Marshal(value)
}

// merge marshals a struct and adds to it, at every depth of structs within structs, the
// fields of old that the struct does not have.
func merge(old []byte, v reflect.Value) (map[string]json.RawMessage, error) {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return nil, err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	if len(old) == 0 {
		return fields, nil
	}
	before := map[string]json.RawMessage{}
	if err := json.Unmarshal(old, &before); err != nil {
		return nil, err
	}
	for name, raw := range before {
		field, known := fieldOf(v, name)
		switch {
		case !known:
			fields[name] = raw
		case fields[name] == nil:
			// It had a value and has none now.
		case nested(field, raw):
			fields[name], err = mergeInto(raw, field)
		case field.Kind() == reflect.Slice && field.Len() > 0 && field.Type().Elem().Kind() == reflect.Struct:
			fields[name], err = mergeList(raw, field)
		}
		if err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// mergeList merges each element of a list of structs with the one of old that says the
// same, if there is one.
func mergeList(old []byte, v reflect.Value) (json.RawMessage, error) {
	var before, after []json.RawMessage
	if err := json.Unmarshal(old, &before); err != nil {
		return nil, err
	}
	twins := make(map[string]json.RawMessage, len(before)) // by what this program knows of them
	for _, raw := range before {
		twin := reflect.New(v.Type().Elem()).Interface()
		if err := json.Unmarshal(raw, twin); err != nil {
			return nil, err
		}
		text, err := json.Marshal(twin)
		if err != nil {
			return nil, err
		}
		twins[string(text)] = raw
	}
	for i := range v.Len() {
		text, err := json.Marshal(v.Index(i).Interface())
		if err != nil {
			return nil, err
		}
		if twin := twins[string(text)]; twin != nil && !bytes.Equal(twin, text) {
			if text, err = mergeInto(twin, v.Index(i)); err != nil {
				return nil, err
			}
		}
		after = append(after, text)
	}
	return json.Marshal(after)
}

func mergeInto(old []byte, v reflect.Value) (json.RawMessage, error) {
	fields, err := merge(old, v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// nested reports whether a field is a struct that is written as an object.
func nested(v reflect.Value, raw []byte) bool {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return false
		}
		v = v.Elem()
	}
	return v.Kind() == reflect.Struct && bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{"))
}

// fieldOf finds the field of a struct that encoding/json reads name into. It ignores case
// as that package does, so that nothing is taken for unknown that is read as known.
func fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			if found, ok := fieldOf(v.Field(i), name); ok {
				return found, true
			}
			continue
		}
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if strings.EqualFold(tag, name) {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// decode reads a value into record, a pointer. Another format is [dotmesh.Unsupported],
// anything that cannot be read [dotmesh.Corrupt].
func decode(key string, value []byte, record any) error {
	// What encode wrote ends with the format, since the fields are sorted. Only the last
	// field of the whole object can stand there, so such a value is parsed only once.
	if !bytes.HasSuffix(value, []byte(formatEnd)) {
		if err := checkFormat(key, value); err != nil {
			return err
		}
	}
	if err := fastjson.Unmarshal(value, record); err != nil {
		return corrupt(key, err)
	}
	return nil
}

// formatEnd is how an object of this format ends when its last field says so.
const formatEnd = `,"v":1}`

func checkFormat(key string, value []byte) error {
	var head struct {
		V *json.Number `json:"v"`
	}
	if err := json.Unmarshal(value, &head); err != nil {
		return corrupt(key, err)
	}
	if head.V == nil {
		return corrupt(key, errors.New("no format is named"))
	}
	if head.V.String() != fmt.Sprint(format) {
		return dotmesh.E("decode value", dotmesh.Unsupported,
			"%s in the registry has format %s and this program knows %d; a newer Dotmesh wrote it: upgrade this node", clip(key), clip(head.V.String()), format)
	}
	return nil
}

func corrupt(key string, err error) error {
	return &dotmesh.Error{
		Op: "decode value", Kind: dotmesh.Corrupt, Err: err,
		Text: fmt.Sprintf("the registry's value of %s cannot be read", clip(key)),
	}
}

// Decode reads the value of a key as the record that it is, and checks that it says the
// same as the key and nothing that this program does not know. The record is nil for keys
// that are no record of their own.
func Decode(key string, value []byte) (dotmesh.Record, error) {
	record, err := Identify(key)
	if err != nil {
		return nil, err
	}
	if record == nil {
		return nil, decodeUnlisted(key, value)
	}
	record, _ = reflect.New(reflect.TypeOf(record).Elem()).Interface().(dotmesh.Record)
	if err := decode(key, value, record); err != nil {
		return nil, err
	}
	if identity(record) != key {
		return nil, corrupt(key, errors.New("key and value differ"))
	}
	return record, known(key, record)
}

// decodeUnlisted checks the values that Watch does not tell.
func decodeUnlisted(key string, value []byte) error {
	collection, rest, _ := strings.Cut(key, "/")
	switch collection {
	case "branches":
		var name nameValue
		if err := decode(key, value, &name); err != nil {
			return err
		}
		if name.ID.IsZero() {
			return corrupt(key, errors.New("no branch is named"))
		}
	case "ops":
		var op dotmesh.Op
		if err := decode(key, value, &op); err != nil {
			return err
		}
		if rest != op.Dot.String()+"/"+padded(op.N) {
			return corrupt(key, errors.New("key and value differ"))
		}
	}
	return nil
}

// identity returns the key that a record belongs at.
func identity(record dotmesh.Record) string {
	switch r := record.(type) {
	case *dotmesh.Cluster:
		return keyCluster
	case *dotmesh.Node:
		return nodeKey(r.ID)
	case *dotmesh.Alive:
		return AliveKey(r.Node)
	case *dotmesh.Dot:
		return dotKey(r.Name)
	case *dotmesh.Branch:
		return branchKey(r.ID)
	case *dotmesh.Line:
		return lineKey(r.ID)
	case *dotmesh.Commit:
		return commitKey(r.Line, r.Seq)
	case *dotmesh.Position:
		return positionKey(r.Node, r.Line)
	case *dotmesh.Attachment:
		return attachmentKey(r.Node, r.Volume)
	case *dotmesh.Request:
		return requestKey(r.Node, r.ID)
	case *dotmesh.Response:
		return responseKey(r.ID)
	case *dotmesh.Tombstone:
		return tombstoneKey(r.ID)
	case *dotmesh.Transfer:
		return transferKey(r.ID)
	case *dotmesh.User:
		return userKey(r.ID)
	}
	return ""
}

// known refuses states that a later release may add: who does not know what they mean
// must not act on them.
func known(key string, record dotmesh.Record) error {
	word, ok := "", true
	switch r := record.(type) {
	case *dotmesh.Branch:
		word = string(r.Pointer.State.Phase)
		ok = oneOf(r.Pointer.State.Phase, dotmesh.Held, dotmesh.Moving, dotmesh.Released)
	case *dotmesh.Commit:
		word = string(r.Kind)
		ok = oneOf(r.Kind, dotmesh.InitialCommit, dotmesh.UserCommit, dotmesh.SystemCommit)
	case *dotmesh.Tombstone:
		word = string(r.Kind)
		ok = oneOf(r.Kind, dotmesh.BuriedDot, dotmesh.BuriedBranch, dotmesh.BuriedCommit)
		if r.Kind == dotmesh.BuriedBranch && r.Branch == nil || r.Kind == dotmesh.BuriedCommit && r.Commit == nil {
			return corrupt(key, errors.New("what is buried is not there"))
		}
	case *dotmesh.Transfer:
		word = string(r.Kind) + " " + string(r.State)
		ok = knownTransfer(r)
	}
	if ok {
		return nil
	}
	return dotmesh.E("decode value", dotmesh.Unsupported,
		"%s in the registry is in a state %q that this program does not know: upgrade this node", clip(key), clip(word))
}

func oneOf[T comparable](v T, all ...T) bool {
	for _, a := range all {
		if v == a {
			return true
		}
	}
	return false
}

// Encode returns the value of a record that nothing was there for before.
func Encode(record any) ([]byte, error) { return encode(nil, record) }

// DecodeOp reads an entry of an operation log.
func DecodeOp(key string, value []byte) (dotmesh.Op, error) {
	var op dotmesh.Op
	if err := decodeUnlisted(key, value); err != nil {
		return op, err
	}
	return op, decode(key, value, &op)
}

// same reports whether two records say the same.
func same(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// nameValue is the value of a branch's name.
type nameValue struct {
	ID dotmesh.BranchID `json:"id"`
}
