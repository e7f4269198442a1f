package dotmesh_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"dotmesh.io/dotmesh"
)

func TestAnErrorSpeaksToThreeReaders(t *testing.T) {
	cause := errors.New("get branch/1: no key")
	inner := &dotmesh.Error{Op: "etcdstate.Get", Kind: dotmesh.NotFound, Text: `no dot called "shop"`, Err: cause}
	err := dotmesh.Wrap("server.Commit", inner)

	if !errors.Is(err, dotmesh.NotFound) || errors.Is(err, dotmesh.Busy) || !errors.Is(err, cause) {
		t.Error("a program cannot tell what happened")
	}
	if got, want := dotmesh.Text(err), `no dot called "shop"`; got != want {
		t.Errorf("the user reads %q, want %q", got, want)
	}
	if got, want := err.Error(), `server.Commit: etcdstate.Get: no dot called "shop": get branch/1: no key`; got != want {
		t.Errorf("the operator reads %q, want %q", got, want)
	}
}

func TestKindOf(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want dotmesh.Kind
	}{
		"nothing":                 {nil, ""},
		"somebody else's error":   {io.EOF, dotmesh.Internal},
		"ours":                    {dotmesh.E("op", dotmesh.Dirty, "x"), dotmesh.Dirty},
		"ours, wrapped by others": {fmt.Errorf("x: %w", dotmesh.E("op", dotmesh.Dirty, "x")), dotmesh.Dirty},
		"the outermost counts":    {&dotmesh.Error{Kind: dotmesh.Unknown, Err: dotmesh.E("", dotmesh.Timeout, "x")}, dotmesh.Unknown},
		"a caller who gave up":    {fmt.Errorf("x: %w", context.Canceled), dotmesh.Canceled},
		"a deadline":              {dotmesh.Wrap("op", context.DeadlineExceeded), dotmesh.Timeout},
		"a kind alone":            {dotmesh.Wrap("op", dotmesh.Busy), dotmesh.Busy},
	} {
		t.Run(name, func(t *testing.T) {
			if got := dotmesh.KindOf(test.err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestText(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"nothing":                  {nil, ""},
		"no text anywhere":         {dotmesh.Wrap("op", io.EOF), "op: EOF"},
		"texts outermost first":    {&dotmesh.Error{Text: "cannot reset", Err: fmt.Errorf("x: %w", dotmesh.E("op", dotmesh.Busy, "in use by %s", "db"))}, "cannot reset: in use by db"},
		"joined with another":      {dotmesh.Wrap("op", errors.Join(dotmesh.E("op", dotmesh.Invalid, "it is a directory"), io.EOF)), "it is a directory"},
		"only a kind":              {&dotmesh.Error{Kind: dotmesh.NoSpace}, "no space"},
		"the operation is no text": {dotmesh.E("op", dotmesh.Invalid, "x"), "x"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := dotmesh.Text(test.err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestWrapOfNothingIsNothing(t *testing.T) {
	if err := dotmesh.Wrap("op", nil); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	secret := dotmesh.Secret("hunter2")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, struct{ S dotmesh.Secret }{secret}); got == fmt.Sprintf(verb, struct{ S string }{"hunter2"}) {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if got := dotmesh.E("op", dotmesh.Denied, "%v", secret).Error(); got != "op: ***" {
		t.Errorf("got %q", got)
	}
}
