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

// Now is the time, as far ahead as the environment says.
func Now() time.Time { return time.Now().Add(ahead()) }

var ahead = sync.OnceValue(func() time.Duration {
	text := os.Getenv("DOTMESH_FAILPOINTS_AHEAD")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err) // a test with another clock than it thinks must not pass
	}
	return d
})

// points is read from the environment once, at the first point that is reached: a process
// keeps its failpoints for life, so that they need no plumbing through the program.
var points = sync.OnceValue(func() *set {
	s, err := configured(os.Getenv("DOTMESH_FAILPOINTS"))
	if err != nil {
		panic(err) // a test with a misspelt failpoint must not pass
	}
	s.logPath = os.Getenv("DOTMESH_FAILPOINTS_LOG")
	return s
})

// configured returns the failpoints of a text, or of the file that it names.
func configured(text string) (*set, error) {
	path, inFile := strings.CutPrefix(text, "@")
	if !inFile {
		return parse(text)
	}
	s, err := parse("")
	if err == nil {
		s.path = path
	}
	return s, err
}

// set is the failpoints of one process.
type set struct {
	mu      sync.Mutex // guards hits, actions and text, and keeps lines of the log apart
	hits    map[string]int
	actions map[string]action
	text    string // what actions was read from
	path    string // the file that text is in, "" if it is in none
	logPath string
}

// anyPoint is the name that stands for every point.
const anyPoint = "*"

// action is what happens at a point; at 0 means every time.
type action struct {
	verb  string
	sleep time.Duration
	file  string
	at    int
}

// parse reads name=action[@N][;name=action[@N]...].
func parse(text string) (*set, error) {
	s := &set{text: text, hits: map[string]int{}, actions: map[string]action{}}
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
	verb, detail, _ := strings.Cut(verb, ":")
	switch a.verb = verb; verb {
	case "kill", "error", "panic", "hang":
		return a, nil
	case "sleep":
		a.sleep, err = time.ParseDuration(detail)
		return a, err
	case "wait":
		if a.file = detail; detail == "" {
			return a, errors.New("wait for which file?")
		}
		return a, nil
	}
	return a, fmt.Errorf("unknown action %q", verb)
}

func (s *set) hit(name string) error {
	n, a, err := s.count(name)
	if err != nil {
		return err
	}
	if a.verb == "" || a.at != 0 && a.at != n {
		return nil
	}
	return a.do(name)
}

// count notes that a point was reached, and returns how often it was and what to do there.
func (s *set) count(name string) (int, action, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(); err != nil {
		return 0, action{}, err
	}
	s.hits[name]++
	s.hits[anyPoint]++
	err := s.log(name)
	if a, armed := s.actions[name]; armed {
		return s.hits[name], a, err
	}
	return s.hits[anyPoint], s.actions[anyPoint], err
}

// refresh reads the file, if there is one and its text has changed.
func (s *set) refresh() error {
	if s.path == "" {
		return nil
	}
	text, err := os.ReadFile(s.path)
	if err != nil || string(text) == s.text {
		return err
	}
	next, err := parse(string(text))
	if err != nil {
		return err
	}
	s.text, s.hits, s.actions = next.text, next.hits, next.actions
	return nil
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
	case "wait":
		return a.wait()
	}
	return fmt.Errorf("failpoint %s: %w", name, ErrInjected)
}

// wait returns when the action's file is there.
func (a action) wait() error {
	for {
		if _, err := os.Stat(a.file); err == nil || !errors.Is(err, os.ErrNotExist) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}
