package feed

import (
	"reflect"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

// TestSameLooksAtEveryField: a field that somebody adds to a status is one that a listing
// can find changed.
func TestSameLooksAtEveryField(t *testing.T) {
	now := time.Now()
	full := func() *dotmesh.DotStatus {
		return &dotmesh.DotStatus{
			Dot: dotmesh.Dot{Collaborators: make([]dotmesh.UserID, 1)},
			Branch: dotmesh.BranchStatus{
				Branch: dotmesh.Branch{Stash: &dotmesh.Stash{At: now}}, Origin: &dotmesh.ForkPoint{},
				Containers: make([]dotmesh.Container, 1), Replicas: []dotmesh.Replica{{Missing: make([]dotmesh.CommitID, 1)}},
			},
		}
	}
	if !same(full(), full()) {
		t.Fatal("two that are the same are not")
	}
	leaves := 0
	for changed := full(); ; leaves++ {
		left := leaves
		if name := change(reflect.ValueOf(changed).Elem(), "", &left); name == "" {
			break
		} else if same(full(), changed) {
			t.Errorf("%s is not looked at", name)
		}
		changed = full()
	}
	if leaves < 40 {
		t.Errorf("only %d fields were changed", leaves)
	}
}

// change changes the leaf number left of v, and returns its name; "": there are fewer.
func change(v reflect.Value, name string, left *int) string {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
	case v.Kind() == reflect.Pointer:
		return change(v.Elem(), name, left)
	case v.Kind() == reflect.Slice:
		return change(v.Index(0), name+"[0]", left)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if found := change(v.Field(i), name+"."+v.Type().Field(i).Name, left); found != "" {
				return found
			}
		}
		return ""
	}
	if *left--; *left >= 0 {
		return ""
	}
	set(v)
	return name
}

func set(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(77, 0)))
	case v.CanInt():
		v.SetInt(77)
	case v.CanUint():
		v.SetUint(77)
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.Kind() == reflect.String:
		v.SetString("77")
	case v.Kind() == reflect.Array:
		v.Index(0).SetUint(77)
	}
}
