// Package node holds a whole node, made of the real parts in this process, to the promises
// of dotmesh.Service: on btrfs and etcd, called directly and over the API; and, built with the
// tag zfs, on ZFS and etcd instead.
package node
