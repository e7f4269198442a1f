// Package zfs is a machine for tests that need ZFS, which is not in Linux: a small Debian
// with OpenZFS in its kernel, that runs in QEMU and leaves the host as it was.
//
//	build   makes the guest, once, in .cache/zfs; this takes some minutes
//	init    is the guest's first process
//	run     starts a guest, runs one command in it and returns its output and status
//	test    builds the tests of packages and has them run in one guest, by suite
//
// A test that needs ZFS is in a file with the build tag zfs. So `go test ./...` neither
// fails where there is no ZFS nor passes over anything in silence; `make test-zfs` runs
// these tests, and `make test` does so too. With ZFS=host they run on the host's own ZFS.
// In a guest, TEST_ZFS_DISK names an empty disk; everywhere, a file in a temporary folder
// will do for a pool.
//
// Tests are built without cgo, so without the race detector, and with failpoints. They may
// not count on more of a guest than what build puts there; programs that they start are
// built on the host, and TEST_PROGRAMS names their folder. A guest has two processors, so
// two parts of the tests run at once. To run some tests of one package:
//
//	make test-zfs ZFS_TESTS=./zfs TESTFLAGS='-test.v -test.run=TestStore/commit'
//
// or, as go test does it, with a guest for each package:
//
//	CGO_ENABLED=0 GOTMPDIR=$PWD/.cache/zfs go test -tags zfs -exec $PWD/tests/zfs/run ./zfs
//
// The machine's own tests are here: what is in the guest is tested in the guest, and what
// run promises is tested on the host, with the build tag zfsrun.
package zfs
