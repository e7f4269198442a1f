//go:build linux

package zfs

import (
	"strconv"
	"strings"
)

// command is what one of the two programs is asked to do. The functions below are all that
// this package ever asks: fixed words, names made of ids, and numbers.
type command struct {
	program string // "zfs" or "zpool"
	args    []string
}

func (c command) String() string { return c.program + " " + strings.Join(c.args, " ") }

func zfs(args ...string) command   { return command{"zfs", args} }
func zpool(args ...string) command { return command{"zpool", args} }

// fastProperties are read from what the kernel has at hand; all others open each dataset.
const fastProperties = "name,guid,createtxg,origin"

// listAll lists all datasets and snapshots below one.
func listAll(dataset string) command {
	return zfs("list", "-Hp", "-r", "-t", "filesystem,snapshot", "-o", fastProperties, dataset)
}

// listOne lists a dataset and its snapshots.
func listOne(dataset string) command {
	return zfs("list", "-Hp", "-d", "1", "-t", "filesystem,snapshot", "-o", fastProperties, dataset)
}

// listNames lists a dataset and those directly below it by name.
func listNames(dataset string) command {
	return zfs("list", "-H", "-d", "1", "-t", "filesystem", "-o", "name", dataset)
}

// listThese lists datasets and snapshots by name. One that is not there fails it.
func listThese(names ...string) command {
	return zfs(append([]string{"list", "-Hp", "-t", "filesystem,snapshot", "-o", fastProperties}, names...)...)
}

// getValues returns one value for each property, in the order asked for.
func getValues(name string, properties ...string) command {
	return zfs("get", "-Hp", "-o", "value,source", strings.Join(properties, ","), name)
}

// createDataset makes an empty dataset.
func createDataset(dataset string) command { return createWith(dataset, "canmount=noauto") }

// createWith makes an empty dataset with properties.
func createWith(dataset string, properties ...string) command {
	args := []string{"create"}
	for _, p := range properties {
		args = append(args, "-o", p)
	}
	return zfs(append(args, dataset)...)
}

// cloneSnapshot makes a dataset that begins as a snapshot.
func cloneSnapshot(snapshot, dataset string) command {
	return zfs("clone", "-o", "canmount=noauto", snapshot, dataset)
}

// takeSnapshots takes one snapshot of each of several datasets, all or none.
func takeSnapshots(names ...string) command { return zfs(append([]string{"snapshot"}, names...)...) }

// destroyDataset destroys a dataset that has no snapshots.
func destroyDataset(dataset string) command { return zfs("destroy", dataset) }

// destroySnapshots destroys snapshots of a dataset, by what comes after the @.
func destroySnapshots(dataset string, snapshots ...string) command {
	return zfs("destroy", dataset+"@"+strings.Join(snapshots, ","))
}

// rollBack takes a dataset back to its newest snapshot.
func rollBack(snapshot string) command { return zfs("rollback", snapshot) }

// setReadOnly says whether a dataset can be written to.
func setReadOnly(dataset string, on bool) command {
	return zfs("set", "readonly="+onOff(on), dataset)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// setReservation sets how much space a dataset has for itself, in bytes.
func setReservation(dataset string, bytes int64) command {
	return zfs("set", "reservation="+strconv.FormatInt(bytes, 10), dataset)
}

// syncPool waits until all that was written is on disk, and counted.
func syncPool(pool string) command { return zpool("sync", pool) }

// listPool shows a pool's devices.
func listPool(pool string) command { return zpool("list", "-HPpv", "-o", "name,guid,health", pool) }

// poolSpace says how large a pool's disks are, and how much of them is taken.
func poolSpace(pool string) command { return zpool("list", "-Hp", "-o", "size,allocated", pool) }

// findPools shows the pools that lie in a file and are not imported.
func findPools(file string) command { return zpool("import", "-d", file) }

// importPool imports a pool by its guid, under a name of our choice. Nothing is mounted.
func importPool(file, guid, name string) command {
	return zpool("import", "-d", file, "-N", "-o", "cachefile=none", guid, name)
}

// createPool makes a pool in a file.
func createPool(pool, file string) command {
	return zpool("create", "-o", "cachefile=none", "-o", "autotrim=on", "-O", "mountpoint=none", "-O", "canmount=off",
		"-O", "compression=lz4", "-O", "atime=off", pool, file)
}

// sendWhole writes a snapshot as a stream.
func sendWhole(snapshot string) command { return zfs("send", "-L", "-c", "-e", snapshot) }

// sendDifference writes a snapshot as the difference to an older one.
func sendDifference(from, snapshot string) command {
	return zfs("send", "-L", "-c", "-e", "-i", from, snapshot)
}

// tokenContents shows what a token is for, and sends nothing.
func tokenContents(token string) command { return zfs("send", "-nvt", token) }

// sendRest goes on with a stream that broke off. The token must have been read before.
func sendRest(token string) command { return zfs("send", "-t", token) }

// receiveFirst makes a dataset and its first snapshot from a stream. It mounts nothing, and
// keeps what has come of a stream that breaks off. The dataset is born with what ours have,
// whatever the stream says; origin is the snapshot that it is a clone of, or empty.
func receiveFirst(snapshot, origin string) command {
	args := []string{"receive", "-u", "-s", "-o", "canmount=noauto", "-x", "mountpoint", "-x", "readonly"}
	if origin != "" {
		args = append(args, "-o", "origin="+origin)
	}
	return zfs(append(args, snapshot)...)
}

// receiveNext makes a snapshot of a dataset that is there from a stream. It takes nothing
// back that is there.
func receiveNext(snapshot string) command { return zfs("receive", "-u", "-s", snapshot) }

// abortReceive throws away what streams into a dataset have left.
func abortReceive(dataset string) command { return zfs("receive", "-A", dataset) }

// holdSnapshots keeps snapshots from being destroyed by anybody.
func holdSnapshots(tag string, snapshots ...string) command {
	return zfs(append([]string{"hold", tag}, snapshots...)...)
}

// releaseSnapshots lets go of them.
func releaseSnapshots(tag string, snapshots ...string) command {
	return zfs(append([]string{"release", tag}, snapshots...)...)
}
