//go:build linux

// Package btrfs is the [dotmesh.Store] on btrfs. It speaks to the kernel by ioctls alone:
// no cgo, and no other program but mkfs.btrfs when a pool is made.
//
// A pool is a directory of a btrfs file system that is there already, or a sparse file
// with a file system of its own, attached to a loop device. Below it lie
//
//	lines/                        a subvolume, so that its tree holds nothing else
//	lines/<line>/live             the head: writable, there only while it is needed
//	lines/<line>/commits/<id>     a commit: a read-only snapshot of the head
//	lines/<line>/.<anything>      scratch, also below commits; removed by the next Open
//	node/kv                       the node's memory, nocow and preallocated
//	node/reserve.<n>              space kept free, see below
//
// The file's mount belongs to no mount namespace: it is held by a descriptor, so that a
// process that is killed leaves nothing behind but what it had mounted for containers.
// Whoever opens a pool holds a flock on its file or directory; a second one is Busy.
//
// What is durable when. Taking a snapshot commits a transaction of the file system, and
// so makes the snapshot and all that came before durable. Making, removing and renaming
// subvolumes does not; those are followed by syncfs. A commit's metadata are extended
// attributes of lines/<line>/commits, set before the snapshot is asked for: they are in
// its transaction or in an earlier one, so a commit is one durable write. What a half-done
// call could leave is marked in the KV first: a line has its record before it has a directory, and a
// record says so before a line is destroyed.
//
// Transactions are what everything is compared by. A snapshot shares its tree with the
// head as of one transaction, and every block written later carries a higher number. The
// kernel finds the blocks above a number without reading the others: that is how Usage
// and Diff look at changes only, however large the data.
//
// The reserve is 5 % of the pool and at most 1 GiB for data, and a little for the trees,
// in four files. Data that containers write and streams bring never get it, as long as
// nothing is lent. When a snapshot, fork or removal finds the pool full, one file is
// removed and the call tried again; it is made again once there is room.
package btrfs
