// Package server is the node: the Service that every door offers, built on a Store, a
// Registry and a Mounter that it is handed.
//
// A Node reads from its view, a picture of the registry that one watch keeps true, and
// changes the world in a fixed order: first its own durable memory (what it is about to
// do), then the store, then one transaction of the registry, then the view. Whatever a
// crash leaves half done is finished or cleared away by settle when the node starts: an
// intent without its transaction is undone, one with it is completed.
//
// Work on one branch runs one call at a time, under that branch's lock; work on a dot's
// names runs under the dot's lock, which is taken first. Decisions that need no I/O are in
// package plan.
package server
