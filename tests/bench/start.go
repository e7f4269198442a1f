package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"dotmesh.io/dotmesh"
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
		if size.f.large() {
			if times, err = l.startEtcd(ctx, p, l.rounds(size.rounds)); err != nil {
				return rows, err
			}
			what := fmt.Sprintf("for comparison: start of its etcd with nothing beside it, until all is listed: %s", size.f)
			rows = append(rows, alone(what, "s", times, 0))
		}
	}
	return rows, nil
}

// startEtcd starts only the etcd of a place and reads all that it has, so many times.
func (l *lab) startEtcd(ctx context.Context, p *place, rounds int) (times series, err error) {
	for range rounds {
		begun := time.Now()
		err := l.registry(ctx, filepath.Join(p.Data(), "etcd"), filepath.Join(p.Dir, "etcd.sock"), func(r dotmesh.Registry) error {
			for u := range r.Watch(ctx, 0) {
				if u.Err != nil || u.Cursor > 0 {
					times = append(times, time.Since(begun).Seconds())
					return u.Err
				}
			}
			return ctx.Err()
		})
		if err != nil {
			return times, err
		}
	}
	return times, nil
}
