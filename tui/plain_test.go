package tui

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dotmesh.io/dotmesh/internal/democluster"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
)

// TestPlainEndsThoughNobodyAnswers: ctrl+c must not wait for a line.
func TestPlainEndsThoughNobodyAnswers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		in, answers := io.Pipe()
		defer answers.Close()
		ended := make(chan error, 1)
		o := Options{Service: democluster.New(democluster.Options{Dots: 12, Seed: 1, Now: time.Now}), In: in, Out: io.Discard}
		go func() { ended <- Plain(ctx, o, nil) }()
		synctest.Wait()
		stop()
		synctest.Wait()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
		default:
			t.Error("it waits for an answer")
		}
	})
}

// TestPlainSaysWhyItsInputEnded: a line that is too long is no end of the input.
func TestPlainSaysWhyItsInputEnded(t *testing.T) {
	o := Options{
		Service: democluster.New(democluster.Options{Dots: 12, Seed: 1, Now: time.Now}), Out: io.Discard,
		In: strings.NewReader(strings.Repeat("1", 1<<20)),
	}
	if err := Plain(t.Context(), o, nil); err == nil {
		t.Error("it ended as if nobody had said anything more")
	}
}
