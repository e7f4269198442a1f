package democluster

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
)

// unsupported is what the cluster says where it would need a registry or a pool.
func (s *service) unsupported(ctx context.Context, what string) error {
	_, err := ask(ctx, s, func() (struct{}, error) {
		if err := s.adminOnly(); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, dotmesh.E("democluster", dotmesh.Unsupported, "%s: this is a demonstration, which is kept in memory only; a real server can", what)
	})
	return err
}

// Export implements dotmesh.Service: it is not supported.
func (s *service) Export(ctx context.Context) ([]dotmesh.Entry, error) {
	return nil, s.unsupported(ctx, "there is no registry to be exported")
}

// Import implements dotmesh.Service: it is not supported.
func (s *service) Import(ctx context.Context, _ []dotmesh.Entry) error {
	return s.unsupported(ctx, "there is no registry to import into")
}

// Recover implements dotmesh.Service: it is not supported.
func (s *service) Recover(ctx context.Context) (dotmesh.Recovered, error) {
	return dotmesh.Recovered{}, s.unsupported(ctx, "there is no pool to recover from")
}

// State implements dotmesh.Service. Beside what a node says, "demo.passed" is the time that
// Step has let pass, and "demo.waiting" how many wait for more of it.
func (s *service) State(ctx context.Context, prefix string) (map[string]string, error) {
	return ask(ctx, s, func() (map[string]string, error) {
		if err := s.adminOnly(); err != nil {
			return nil, err
		}
		c, n := s.c, s.at
		all := map[string]string{
			"node.id": string(n.ID), "node.name": string(n.Name), "node.version": n.Version,
			"node.cluster": c.record.ID.String(), "store.pool": n.Pool,
			"registry.cursor": strconv.FormatUint(c.feed.next, 10), "registry.quorum": strconv.FormatBool(c.quorum()),
			"demo.passed": c.life.passed.String(), "demo.dots": strconv.Itoa(len(c.order)), "demo.waiting": strconv.Itoa(len(c.life.waiting)),
		}
		for _, l := range c.lags {
			count, _ := l.missing()
			all[fmt.Sprintf("lag.%s.%s", l.node.Name, l.line.ID)] = strconv.Itoa(count)
		}
		maps.DeleteFunc(all, func(key, _ string) bool { return !strings.HasPrefix(key, prefix) })
		return all, nil
	})
}
