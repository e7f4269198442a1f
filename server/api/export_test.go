package api

import (
	"iter"
	"reflect"
	"time"
)

// Methods are the registered methods with the types of their parameters and results.
func Methods() map[string][2]reflect.Type {
	all := map[string][2]reflect.Type{}
	for prefix, receiver := range map[string]any{methodPrefix: methods{}, legacyPrefix: legacy{}} {
		t := reflect.TypeOf(receiver)
		for m := range t.Methods() {
			if newRPC().HasMethod(prefix + m.Name) {
				all[prefix+m.Name] = [2]reflect.Type{m.Type.In(2).Elem(), m.Type.In(3).Elem()}
			}
		}
	}
	return all
}

// HurryBodies makes a server give up on slow bodies sooner.
func (s *Server) HurryBodies(patience time.Duration) { s.bodyTimeout = patience }

// Lines encodes values as a list does.
func Lines[T any](values []T) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for b, err := range blocksOf(values) {
			if !yield(b, err) {
				return
			}
		}
	}
}
