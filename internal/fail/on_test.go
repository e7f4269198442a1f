//go:build failpoints

package fail

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPointsActAsTheEnvironmentSays(t *testing.T) {
	s, err := configured("a=error@2;b=sleep:1ms;c=error")
	if err != nil {
		t.Fatal(err)
	}
	s.logPath = filepath.Join(t.TempDir(), "log")
	for i, want := range []bool{false, true, false} {
		if got := errors.Is(s.hit("a"), ErrInjected); got != want {
			t.Errorf("hit %d of a: injected = %v, want %v", i+1, got, want)
		}
	}
	if err := s.hit("b"); err != nil {
		t.Errorf("sleep: %v", err)
	}
	for range 2 {
		if !errors.Is(s.hit("c"), ErrInjected) {
			t.Error("c did not fail each time")
		}
	}
	log, err := os.ReadFile(s.logPath)
	if got, want := string(log), "a\na\na\nb\nc\nc\n"; err != nil || got != want {
		t.Errorf("log = %q, %v, want %q", got, err, want)
	}
}

func TestAStarStandsForEveryPoint(t *testing.T) {
	s, err := parse("*=error@3;b=sleep:1ns")
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		point string
		want  bool
	}{{"a", false}, {"b", false}, {"c", true}, {"a", false}} {
		if got := errors.Is(s.hit(step.point), ErrInjected); got != step.want {
			t.Errorf("hit %d, %s: injected = %v, want %v", i+1, step.point, got, step.want)
		}
	}
}

func TestMisspeltFailpointsAreRefused(t *testing.T) {
	for _, text := range []string{"a", "=kill", "a=explode", "a=kill@0", "a=kill@x", "a=sleep", "a=sleep:x", "a=wait", "a=wait:"} {
		if s, err := parse(text); err == nil {
			t.Errorf("parse(%q) = %v, want an error", text, s.actions)
		}
	}
	if a, err := parseAction("sleep:5ms@3"); err != nil || a != (action{verb: "sleep", sleep: 5 * time.Millisecond, at: 3}) {
		t.Errorf("parseAction = %+v, %v", a, err)
	}
}

func TestAFileArmsAProcessThatRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "points")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	s, err := configured("@" + path)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		text string
		want bool
	}{
		{"", false}, {"a=error@2", false}, {"a=error@2", true}, {"a=error@2", false}, {"a=error@2;", false}, {"a=error@2;", true}, {"", false},
	} {
		write(step.text)
		if got := errors.Is(s.hit("a"), ErrInjected); got != step.want {
			t.Errorf("%q: injected = %v, want %v", step.text, got, step.want)
		}
	}
	write("nonsense")
	if s.hit("a") == nil {
		t.Error("nonsense in the file was taken")
	}
}

func TestAPointWaitsForAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "go")
	s, err := parse("a=wait:" + file)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.hit("a") }()
	select {
	case err := <-done:
		t.Errorf("it did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
