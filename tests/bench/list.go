package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// benchList runs dm list as a whole process against nodes of three sizes.
func benchList(ctx context.Context, l *lab) (rows []row, err error) {
	for _, size := range []struct {
		f      fixture
		rounds int
		must   float64 // ms
	}{
		{fixture{dots: 46, commits: 1}, 100, 50},
		{fixture{dots: 1000, commits: 1}, 50, 0},
		{fixture{dots: 10_000, commits: 10}, 30, 300},
	} {
		if l.short && size.f.large() {
			continue
		}
		p, err := l.fixture(ctx, size.f)
		if err != nil {
			return rows, err
		}
		var times series
		err = l.with(ctx, p, func(n *node) error {
			times, err = l.lists(ctx, n, size.f.dots, l.rounds(size.rounds))
			return err
		})
		if err != nil {
			return rows, err
		}
		rows = append(rows, alone(fmt.Sprintf("`dm list` as a whole process, %s dots", thousands(size.f.dots)), "ms", times, size.must))
	}
	return rows, nil
}

func (l *lab) lists(ctx context.Context, n *node, dots, rounds int) (times series, err error) {
	env := append(os.Environ(), "DM_HOST="+n.URL(), "DM_CONFIG="+filepath.Join(n.Dir, "dm-config"), "NO_COLOR=1")
	list := exec.CommandContext(ctx, l.dm, "list", "-H")
	list.Env = env
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	if lines := strings.Count(string(out), "\n"); lines != dots {
		return nil, fmt.Errorf("dm list shows %d dots and not %d", lines, dots)
	}
	sink, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	for range rounds {
		list := exec.CommandContext(ctx, l.dm, "list")
		list.Env, list.Stdout = env, sink
		began := time.Now()
		if err := list.Run(); err != nil {
			return nil, errors.Join(err, sink.Close())
		}
		times.add(time.Since(began))
	}
	return times, sink.Close()
}

// thousands writes 10000 as 10,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
