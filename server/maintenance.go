package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
)

// Export implements dotmesh.Service.
func (s *service) Export(ctx context.Context) ([]dotmesh.Entry, error) {
	if err := s.adminOnly(); err != nil {
		return nil, err
	}
	all := []dotmesh.Entry{}
	for e, err := range s.node.reg.Export(ctx) {
		if err != nil {
			return nil, dotmesh.Wrap("server.Export", err)
		}
		all = append(all, e)
	}
	return all, nil
}

// Import implements dotmesh.Service.
func (s *service) Import(ctx context.Context, entries []dotmesh.Entry) error {
	if err := s.adminOnly(); err != nil {
		return err
	}
	isCluster := func(e dotmesh.Entry) bool { return e.Key == "cluster" }
	if !slices.ContainsFunc(entries, isCluster) {
		return dotmesh.E("server.Import", dotmesh.Invalid, "this is no whole registry: it has no cluster record; give what an export printed")
	}
	cursor, err := s.node.reg.Import(ctx, entries, true)
	if err != nil {
		return dotmesh.Wrap("server.Import", err)
	}
	if err := s.node.view.reach(ctx, cursor); err != nil {
		return err
	}
	return dotmesh.Wrap("server.Import", s.node.accept(ctx))
}

// State implements dotmesh.Service. No secret is in it.
func (s *service) State(_ context.Context, prefix string) (map[string]string, error) {
	if err := s.adminOnly(); err != nil {
		return nil, err
	}
	n := s.node
	id := n.identity()
	cursor, fault := n.view.position()
	all := map[string]string{
		"node.id": string(id.Node), "node.name": string(n.cfg.Name), "node.cluster": id.Cluster.String(),
		"node.version": n.cfg.Version, "store.pool": n.store.Caps().Pool,
		"registry.cursor": strconv.FormatUint(uint64(cursor), 10),
		"registry.fault":  dotmesh.Text(fault), "node.frozen": dotmesh.Text(n.mayChangeNow()),
	}
	authorities, err := load[authority](n.store.KV(), bucketAuthority)
	if err != nil {
		return nil, err
	}
	for key, a := range authorities {
		all["authority."+key] = fmt.Sprintf("%s line=%s epoch=%d", a.Phase, a.Line, a.Epoch)
	}
	for r := range n.view.records() {
		if u, ok := r.(*dotmesh.User); ok {
			shown := public(u)
			r = &shown
		}
		text, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		all["registry."+strings.ReplaceAll(mirrorKey(r), "/", ".")] = string(text)
	}
	for key := range all {
		if !strings.HasPrefix(key, prefix) {
			delete(all, key)
		}
	}
	return all, nil
}
