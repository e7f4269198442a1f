// Package faults breaks real nodes and looks at what is left.
//
// Each test runs the dotmesh-server of a build with failpoints on a pool of its own, with an etcd of its own, and talks to it at its socket as dm does. It has a server
// killed at every step of every operation, its etcd killed, emptied, set back and
// exchanged, its pool filled and its directory made read-only. After each fault a dot is
// either as it was before the operation or as it is after it, whatever was acknowledged
// is there, and the node goes on working; and at the end the pool holds nothing that
// nobody can reach. The last test names the failpoints that no other came by.
//
// They are built with the tag failpoints and need root:
//
//	go test -tags failpoints ./tests/faults
package faults
