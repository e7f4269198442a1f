//go:build failpoints

package faults_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFaults(t *testing.T) {
	b := newBench(t)
	t.Run("a node", func(t *testing.T) {
		for _, f := range faults() {
			if !here(f) {
				continue
			}
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				b.turns <- struct{}{}
				defer func() { <-b.turns }()
				f.run(b.node(t))
			})
		}
	})
	t.Run("every failpoint was reached", b.wantEveryPoint)
}

// fault is one test on a node of its own that has not been started.
type fault struct {
	name string
	run  func(*node)
}

func faults() (all []fault) {
	for _, op := range operations() {
		all = append(all,
			fault{"killed at every step of " + op.name, op.killServer},
			fault{"every step fails of " + op.name, op.failSteps},
			fault{"etcd killed at every step of " + op.name, op.killEtcd},
		)
	}
	return append(all,
		fault{"killed again and again while it starts after a crash", killStart},
		fault{"etcd killed while it starts after a crash", killEtcdAtStart},
		fault{"killed again and again while it collects garbage", killSweep},
		fault{"servers and etcds killed in a stream of commits", killStream},
		fault{"etcd is dead", etcdDead},
		fault{"etcd is wiped", etcdWiped},
		fault{"etcd is set back to an older copy", etcdOlder},
		fault{"etcd is another cluster's", etcdForeign},
		fault{"the pool is full", poolFull},
		fault{"the data directory is read-only", readOnly},
		fault{"two servers at once", twoServers},
	)
}

// bench is what all tests share.
type bench struct {
	program string            // dotmesh-server with failpoints
	source  map[string]string // the program's failpoints, and where they are
	points  string            // a folder of files that name the failpoints that were reached
	turns   chan struct{}     // takes a token of each server that runs
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{
		source:  sourcePoints(t), // reading the source also tells go test what its result hangs on
		program: filepath.Join(dir, "dotmesh-server"),
		points:  filepath.Join(dir, "points"),
		turns:   make(chan struct{}, servers),
	}
	if err := os.Mkdir(b.points, 0o700); err != nil {
		t.Fatal(err)
	}
	if built := os.Getenv("TEST_PROGRAMS"); built != "" { // there may be no compiler
		b.program = filepath.Join(built, "dotmesh-server-failpoints")
		return b
	}
	build := exec.Command("go", "build", "-tags", "failpoints", "-o", b.program, "dotmesh.io/dotmesh/cmd/dotmesh-server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return b
}
