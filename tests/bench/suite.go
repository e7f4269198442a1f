package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// scenario measures one or more rows.
type scenario struct {
	name string
	run  func(ctx context.Context, l *lab) ([]row, error)
}

func scenarios() []scenario {
	return []scenario{
		{"commit", benchCommit},
		{"tree", benchTree},
		{"stream", benchStream},
		{"zfs", benchZFS},
		{"list", benchList},
		{"start", benchStart},
		{"idle", benchIdle},
		{"tui", benchTUI},
	}
}

func names() (all []string) {
	for _, s := range scenarios() {
		all = append(all, s.name)
	}
	return all
}

// choose returns the named scenarios, or all.
func choose(wanted string) ([]scenario, error) {
	if wanted == "" {
		return scenarios(), nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(wanted, ",") {
		i := slices.Index(names(), strings.TrimSpace(name))
		if i < 0 {
			return nil, fmt.Errorf("no row is called %q; there are %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, scenarios()[i])
	}
	return chosen, nil
}

// measure runs scenarios one after the other.
func measure(ctx context.Context, l *lab, chosen []scenario) (*results, error) {
	r := &results{Short: l.short}
	var err error
	if r.Machine, err = thisMachine(ctx, l.dir); err != nil {
		return nil, err
	}
	for _, s := range chosen {
		l.say("%s …", s.name)
		load, err := loadAverage()
		if err != nil {
			return nil, err
		}
		rows, err := s.run(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		for i := range rows {
			rows[i].Load = load
		}
		r.Rows = append(r.Rows, rows...)
	}
	return r, nil
}

// lab is where everything happens.
type lab struct {
	dm, server string // the programs
	cache      string
	dir        string // temporary, on disk
	short      bool
	places     int
}

func newLab(o *options) (*lab, error) {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return nil, err
	}
	l := &lab{dm: filepath.Join(bin, "dm"), server: filepath.Join(bin, "dotmesh-server"), short: o.short}
	for _, program := range []string{l.dm, l.server} {
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("%w; build it with: make build", err)
		}
	}
	if l.cache, err = filepath.Abs(o.cache); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(l.cache, 0o755); err != nil {
		return nil, err
	}
	l.dir, err = os.MkdirTemp("", "dmbench")
	return l, err
}

// close removes what the lab made. A folder in which something is still mounted stays.
func (l *lab) close() error {
	left, err := mountsBelow(l.dir)
	if err != nil || len(left) > 0 {
		return errors.Join(err, fmt.Errorf("still mounted: %v", left))
	}
	return os.RemoveAll(l.dir)
}

// rounds is how often something is done that takes a short time.
func (l *lab) rounds(full int) int {
	if l.short {
		return min(full, 5)
	}
	return full
}

func (l *lab) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
