// Package democluster is a whole cluster of three nodes that exists only in memory: for
// looking around without installing anything, and for tests of what shows a cluster.
//
//	                ┌─────────── Cluster ────────────┐
//	a caller ─────> │ node-1 ── asked; leads         │
//	                │ node-2    dots, lines, commits │ <── Step(d): time passes, and with
//	                │ node-3    transfers, events    │     it writes, replication, moves
//	                └────────────────────────────────┘ <── Silence, Break: what goes wrong
//
// It keeps the promises of [dotmesh.Service] and [dotmesh.Operator] and refuses in the words
// of a real node. Its history follows the same rules: lines that are only ever forked,
// branches that are pointers, stashes that keep what a pointer left. Bytes are true as far
// as one can ask: every commit has a small tree of files that Diff and ReadFile speak of. Only
// mounts are not: the paths that Mount returns do not exist.
//
// Nothing happens by itself unless [Cluster.Run] or [Cluster.Step] lets time pass, and what
// happens then depends on the seed and the steps alone.
package democluster
