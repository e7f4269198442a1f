package server_test

import (
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

// second makes the registry know of another node, which is never there.
func (w *world) second() dotmesh.Node {
	w.Helper()
	two := dotmesh.Node{ID: dotmesh.NewNodeID(), Name: "two", Addresses: []string{"192.0.2.2:32607"}}
	_, err := w.reg.PutNode(w.Context(), two)
	w.must(err)
	_, err = w.commit("after it came") // what is done later is seen later
	w.must(err)
	return two
}

func TestAMoveToAnotherNodeIsNotThereYet(t *testing.T) {
	w := newWorld(t)
	w.init()
	two := w.second()
	for _, name := range []string{"two", string(two.ID)} {
		_, err := w.Move(t.Context(), dotmesh.MoveRequest{Dot: shop, Node: name})
		w.wantKind(err, dotmesh.Unsupported)
		if text := dotmesh.Text(err); !strings.Contains(text, "is not on this server yet; nothing was done") {
			t.Errorf("it says %q", text)
		}
	}
	_, err := w.reset("HEAD^")
	w.must(err)
	detail, err := w.Dot(t.Context(), shop)
	w.must(err)
	_, err = w.Move(t.Context(), dotmesh.MoveRequest{Dot: shop, Branch: detail.All[1].Name, Node: "two"})
	w.wantKind(err, dotmesh.Conflict) // a stash
}

func TestANodeThatIsAwayIsBehind(t *testing.T) {
	w := newWorld(t)
	w.init()
	two := w.second()
	w.later.Store(int64(time.Hour))
	b, err := w.Status(t.Context(), dotmesh.StatusRequest{Dot: shop})
	w.must(err)
	if b.Missing != 2 || b.Behind < time.Hour {
		t.Errorf("the branch is %d commits and %s behind", b.Missing, b.Behind)
	}
	for _, r := range b.Replicas {
		away := r.Node == two.ID
		if away && (len(r.Missing) != 2 || r.Missing[1] != b.Pointer.Tip || r.Behind < time.Hour || r.Behind > 2*time.Hour) {
			t.Errorf("the one that is away is %+v, want it to be an hour behind", r)
		}
		if !away && (len(r.Missing) != 0 || r.Behind != 0) {
			t.Errorf("the master is %+v", r)
		}
	}
	w.later.Store(-int64(time.Hour)) // clocks differ
	b, err = w.Status(t.Context(), dotmesh.StatusRequest{Dot: shop})
	w.must(err)
	for _, r := range b.Replicas {
		if r.Behind != 0 {
			t.Errorf("%s is %s behind what is yet to come", r.Name, r.Behind)
		}
	}
	nodes, err := w.Nodes(t.Context())
	w.must(err)
	if n := nodes[1]; len(nodes) != 2 || n.ID != two.ID || n.Alive || n.Self || n.Voter || n.Leader || n.Masters != 0 || !n.AsOf.IsZero() {
		t.Errorf("nodes are %+v", nodes)
	}
}

func TestAClusterWithoutItsRegistry(t *testing.T) {
	w := newWorld(t)
	w.init()
	before, err := w.Cluster(t.Context())
	w.must(err)
	w.reg.SetDown(true)
	now, err := w.Cluster(t.Context())
	w.must(err)
	if now.Quorum || now.ID != before.ID || now.Voters != 1 {
		t.Errorf("the cluster is %+v, and was %+v", now, before)
	}
	w.eventually("the node does not lead", func() bool {
		nodes, err := w.Nodes(t.Context())
		w.must(err)
		return !nodes[0].Leader && nodes[0].Voter
	})
	w.reg.SetDown(false)
	w.eventually("it leads again", func() bool {
		nodes, err := w.Nodes(t.Context())
		w.must(err)
		now, err = w.Cluster(t.Context())
		w.must(err)
		return nodes[0].Leader && now.Quorum
	})
}
