//go:build failpoints

package faults_test

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"dotmesh.io/dotmesh"
)

// poolFull fills a pool from a volume, and empties it again with nothing but Dotmesh.
func poolFull(n *node) {
	n.start()
	other := n.grown()
	full := n.grown()
	empty := n.free()
	full.fill()
	if free := n.free(); free > empty/4 {
		n.Fatalf("%d bytes of %d are free in a full pool", free, empty)
	}
	for _, name := range []string{"commit", "branch", "reset"} {
		n.wantWholeOrNoSpace(name, full)
		other.want(grownPicture())
	}
	full.fill()
	n.wantWholeOrNoSpace("commit", other)
	_, err := full.Discard(n.Context(), dotmesh.ResetRequest{CommitRef: full.ref("HEAD")})
	wantNoSpace(n, "discard", err)
	full.look()
	n.must(n.DeleteDot(n.Context(), dotmesh.DeleteDot{Dot: full.name}))
	full.want(picture{})
	other.look()
	n.stop()

	n.ahead(retention)
	n.start()
	n.await("the space is back", func() bool { return n.free() > empty*3/4 })
	other.wantToWork()
	n.restart()
	n.wantNoWaste()
}

// free is how many bytes the pool has left.
func (n *node) free() int64 {
	n.Helper()
	nodes, err := n.Nodes(n.Context())
	n.must(err)
	return nodes[0].Pool.Free
}

// fill writes to the dot's volume until there is no more room, as a container would.
func (d *dot) fill() {
	d.Helper()
	f, err := os.OpenFile(filepath.Join(d.paths[""], "ballast"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	d.must(err)
	for size := int64(4 << 20); size >= 4<<10; size /= 4 {
		for err = nil; err == nil; {
			_, err = io.CopyN(f, rand.Reader, size)
			err = errors.Join(err, f.Sync())
		}
		if !errors.Is(err, syscall.ENOSPC) {
			d.Fatal(err)
		}
	}
	if err := f.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		d.Fatal(err)
	}
}

// wantWholeOrNoSpace does an operation that must succeed or say that there is no room, and
// then have changed nothing.
func (n *node) wantWholeOrNoSpace(name string, d *dot) {
	n.Helper()
	before := d.look()
	err := operationCalled(name).run(n.Context(), d.again())
	wantNoSpace(n, name, err)
	if err != nil {
		d.want(before)
		n.Logf("%s: %v", name, err)
	}
}

func wantNoSpace(n *node, name string, err error) {
	n.Helper()
	if err != nil && !errors.Is(err, dotmesh.NoSpace) {
		n.Errorf("%s in a full pool ended in %v (%s)", name, err, dotmesh.KindOf(err))
	}
}
