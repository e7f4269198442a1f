//go:build failpoints

package fail

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Enabled reports whether this build has failpoints.
const Enabled = true

// ErrInjected is what a point with the action error returns.
var ErrInjected = errors.New("injected failure")

// Point marks a place. It returns [ErrInjected] where the environment says error, does
// the other actions itself, and otherwise returns nil.
func Point(name string) error { return points().hit(name) }

// points is read from the environment once, at the first point that is reached: a process
// keeps its failpoints for life, so that they need no plumbing through the program.
var points = sync.OnceValue(func() *set {
	s, err := parse(os.Getenv("DOTMESH_FAILPOINTS"))
	if err != nil {
		panic(err) // a test with a misspelt failpoint must not pass
	}
	s.logPath = os.Getenv("DOTMESH_FAILPOINTS_LOG")
	return s
})

// set is the failpoints of one process.
type set struct {
	mu      sync.Mutex // guards hits, and keeps lines of the log apart
	hits    map[string]int
	actions map[string]action
	logPath string
}

// action is what happens at a point; at 0 means every time.
type action struct {
	verb  string
	sleep time.Duration
	at    int
}

// parse reads name=action[@N][;name=action[@N]...].
func parse(text string) (*set, error) {
	s := &set{hits: map[string]int{}, actions: map[string]action{}}
	for part := range strings.SplitSeq(text, ";") {
		if part == "" {
			continue
		}
		name, rest, ok := strings.Cut(part, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("failpoint %q: want name=action", part)
		}
		a, err := parseAction(rest)
		if err != nil {
			return nil, fmt.Errorf("failpoint %q: %w", part, err)
		}
		s.actions[name] = a
	}
	return s, nil
}

func parseAction(text string) (a action, err error) {
	verb, at, counted := strings.Cut(text, "@")
	if counted {
		if a.at, err = strconv.Atoi(at); err != nil || a.at < 1 {
			return a, fmt.Errorf("%q is not a count from 1", at)
		}
	}
	verb, sleep, _ := strings.Cut(verb, ":")
	switch a.verb = verb; verb {
	case "kill", "error", "panic", "hang":
		return a, nil
	case "sleep":
		a.sleep, err = time.ParseDuration(sleep)
		return a, err
	}
	return a, fmt.Errorf("unknown action %q", verb)
}

func (s *set) hit(name string) error {
	s.mu.Lock()
	s.hits[name]++
	n, a := s.hits[name], s.actions[name]
	err := s.log(name)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if a.verb == "" || a.at != 0 && a.at != n {
		return nil
	}
	return a.do(name)
}

func (s *set) log(name string) error {
	if s.logPath == "" {
		return nil
	}
	f, err := os.OpenFile(s.logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(name + "\n")
	return errors.Join(err, f.Close())
}

func (a action) do(name string) error {
	switch a.verb {
	case "kill":
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return err
		}
		select {} // the signal arrives here
	case "hang":
		select {}
	case "panic":
		panic("failpoint " + name)
	case "sleep":
		time.Sleep(a.sleep)
		return nil
	}
	return fmt.Errorf("failpoint %s: %w", name, ErrInjected)
}
