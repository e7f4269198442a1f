// Package dotmesh holds the nouns and the promises of Dotmesh: git for the data of
// containers, on a cluster that can be watched.
//
// A dot is a volume with branches and commits. A branch is a name and a [Pointer]: it
// says which line holds the branch's data, which commit is its tip, and which node is
// its master, the only one that may write. A line is one file system (a btrfs line
// directory, a ZFS dataset) with commits that never change. History changes by one
// compare-and-set of a branch's whole pointer; nothing is ever renamed, rolled back or
// received over, so no operation can destroy what another one made.
//
// Four interfaces say what the parts owe each other. A [Store] keeps lines and commits
// on one node's disk. A [Registry] is what the nodes agree on. A [Service] is what every
// door (API, command line, terminal UI, Docker, Kubernetes) offers to its users. An
// [Operator] drives a cluster where no server runs yet. The first three have a conformance
// suite in internal/dotmeshtest, which their fakes and their real implementations pass alike.
//
// The package imports the standard library only, starts no goroutine and does no I/O.
package dotmesh
