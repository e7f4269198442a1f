//go:build linux

// Package zfs is the [dotmesh.Store] on OpenZFS.
//
// A pool is a zpool that is there already, or one that is made in a sparse file. In it lie
//
//	<pool>/dotmesh/lines/<line>          a line; its head is the dataset itself
//	<pool>/dotmesh/lines/<line>@<id>     a commit
//	<pool>/dotmesh/node                  holds one file: the node's memory, with space of its own
//	<pool>/dotmesh/reserve               empty; its reservation is the space kept free
//
// and nothing else of the zpool is ever touched. Where the store needs to look into a
// dataset, it mounts it by a descriptor that belongs to no mount namespace, so that a
// process that is killed leaves nothing behind but what it had mounted for containers.
//
// The kernel does each change of a line as one transaction, and has made it durable when
// the program that asked for it returns. What takes more than one change is written down
// in the KV first, and finished by the next call or the next Open: see [record].
//
// ZFS gives every dataset a head. So "no head" is something that the KV says: such a head
// holds what the newest commit does, and is made to before anybody sees it again. Giving up
// what a head holds beyond that is the one rollback in this package.
//
// Two ways to lose data are closed here. What an application fsynced lies in the dataset's
// intent log until it is mounted again after a crash: a snapshot would not have it, and the
// next receive would throw it away. So the KV notes every line that is handed out for
// writing, and such a line is mounted once, privately, before anything is done with it. And
// the zfs program unmounts by itself what it is told to destroy, so whether somebody has it
// mounted, in any mount namespace, is looked at first.
//
// A program that was started goes on when its process is killed. So those that change
// something hold a lock, and Open waits for the ones that an earlier process has left.
//
// go-zfs looks at the zpool. All else goes through a runner of the package's own, which has
// contexts, and knows what the programs say when they fail.
package zfs
