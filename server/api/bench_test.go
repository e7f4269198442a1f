package api_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

// someDots are dots as a node lists them.
func someDots(n int) []dotmesh.DotStatus {
	dots := make([]dotmesh.DotStatus, n)
	now := time.Now().UTC()
	for i := range dots {
		id := dotmesh.NewUUID()
		d := &dots[i]
		d.Dot = dotmesh.Dot{ID: dotmesh.DotID{UUID: id}, Current: dotmesh.BranchID{UUID: id}, Created: now}
		d.Dot.Name = dotmesh.DotName{Namespace: "admin", Name: dotmesh.Name(fmt.Sprintf("dot-%05d", i))}
		d.Branches = 1
		d.Branch = dotmesh.BranchStatus{Current: true, MasterName: "laptop", Size: 16384, Dirty: dotmesh.Bytes{AsOf: now, Exact: true}}
		d.Branch.Branch = dotmesh.Branch{ID: d.Current, Dot: d.ID, Name: dotmesh.MasterBranch, Created: now, Pointer: dotmesh.Pointer{
			Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Tip: dotmesh.CommitID{UUID: dotmesh.NewUUID()}, Head: dotmesh.CommitID{UUID: dotmesh.NewUUID()},
			Seq: 10, Count: 10, Master: "0123456789abcdef", Epoch: 3, State: dotmesh.State{Phase: dotmesh.Held},
		}}
	}
	return dots
}

func BenchmarkDots(b *testing.B) {
	dots := someDots(10000)
	unix, _ := serve(b, &gate{stub{dots: func(context.Context) ([]dotmesh.DotStatus, error) { return dots, nil }}})
	c := connect(b, api.Remote{URL: unix})
	for b.Loop() {
		if got, err := c.Dots(b.Context()); err != nil || len(got) != len(dots) {
			b.Fatal(len(got), err)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	unix, _ := serve(b, &gate{stub{commit: func(_ context.Context, r dotmesh.CommitRequest) (dotmesh.Commit, error) {
		return dotmesh.Commit{ID: r.ID, Message: r.Message, Metadata: r.Metadata}, nil
	}}})
	c := connect(b, api.Remote{URL: unix})
	for b.Loop() {
		if _, err := c.Commit(b.Context(), dotmesh.CommitRequest{Dot: dotmesh.DotName{Name: "shop"}, Message: "a message"}); err != nil {
			b.Fatal(err)
		}
	}
}
