package main

import (
	"context"
	"fmt"
)

// benchStart starts servers that have a past, until they answer.
func benchStart(ctx context.Context, l *lab) (rows []row, err error) {
	for _, size := range []struct {
		f      fixture
		rounds int
		must   float64 // s
	}{
		{fixture{dots: 160, commits: 10}, 15, 1},
		{fixture{dots: 10_000, commits: 10}, 7, 4},
	} {
		if l.short && size.f.large() {
			continue
		}
		p, err := l.fixture(ctx, size.f)
		if err != nil {
			return rows, err
		}
		var times series
		for range 1 + l.rounds(size.rounds) { // the first reads the disk
			err := l.with(ctx, p, func(n *node) error {
				times = append(times, n.took.Seconds())
				return nil
			})
			if err != nil {
				return rows, err
			}
		}
		what := fmt.Sprintf("start of the server, etcd included, until it answers: %s", size.f)
		rows = append(rows, alone(what, "s", times[1:], size.must))
	}
	return rows, nil
}
