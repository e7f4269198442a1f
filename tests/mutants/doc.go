// Package mutants tests the tests: it plants bugs that would lose or show what must not be,
// one at a time, and the suite that every store passes must fail on each.
//
// A bug is a few lines of source in place of others. It is planted with an overlay of the go
// command, so that neither the source nor what is shipped knows of it. A line that is no
// longer there fails the test: then the bug is to be planted elsewhere.
//
// The bugs of ZFS are planted on the host, and caught in the guest of tests/zfs, by the test
// that each names: all of the suite would take too long there.
package mutants
