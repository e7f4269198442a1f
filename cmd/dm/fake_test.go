package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"dotmesh.io/dotmesh"
)

// TestMain also is dm itself, where a script asks for it.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"dm": main})
}

// leakChecked is goleak's TestMain as testscript takes it.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// moment is when everything in these tests happened.
var moment = time.Date(2026, 11, 22, 10, 15, 0, 0, time.UTC)

func uuid(n byte) dotmesh.UUID {
	return dotmesh.UUID{n, 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
}

// fake is a service that holds what a test put into it and notes what it was asked to
// change. What commands do not use it does not have.
type fake struct {
	dotmesh.Service

	dots    []dotmesh.DotDetail
	commits []dotmesh.Commit // newest first, of every branch
	ops     []dotmesh.Op     // newest first
	changes []dotmesh.FileChange
	checked []dotmesh.Checked
	nodes   []dotmesh.NodeStatus
	cluster dotmesh.ClusterStatus
	private error              // of Cluster
	moving  []dotmesh.Transfer // newest first
	events  []dotmesh.Event
	stash   *dotmesh.Branch
	mountAt string
	mounted dotmesh.CommitID // what MountCommit says it mounted
	user    dotmesh.Name
	err     error // of everything

	asked []any
}

// shop is a fake with one dot of that name.
func shop() *fake {
	master := dotmesh.BranchID{UUID: uuid(1)}
	node := dotmesh.NodeID("00000000000000a1")
	commit := func(n byte, message string, metadata map[string]string) dotmesh.Commit {
		return dotmesh.Commit{
			ID: dotmesh.CommitID{UUID: uuid(n)}, Kind: dotmesh.UserCommit, Author: "admin", Message: message,
			Time: moment.Add(time.Duration(n) * time.Second), Metadata: metadata,
		}
	}
	pointer := dotmesh.Pointer{
		Head: dotmesh.CommitID{UUID: uuid(0xc2)}, Tip: dotmesh.CommitID{UUID: uuid(0xc2)}, Count: 3, Master: node, Epoch: 4,
		State: dotmesh.State{Phase: dotmesh.Held},
	}
	replicas := []dotmesh.Replica{
		{Node: node, Name: "node-1", Alive: true},
		{Node: "00000000000000b2", Name: "node-2", Missing: []dotmesh.CommitID{{UUID: uuid(0xc2)}}},
	}
	branches := []dotmesh.BranchStatus{
		{
			Branch: dotmesh.Branch{ID: master, Dot: dotmesh.DotID{UUID: uuid(1)}, Name: "master", Pointer: pointer}, Current: true, MasterName: "node-1",
			Size: 3 << 20, Dirty: dotmesh.Bytes{Bytes: 1536, AsOf: moment.Add(-3 * time.Second), Exact: true}, Mounted: true,
			Containers: []dotmesh.Container{{ID: "c1", Name: "db"}, {ID: "c2", Name: "/web"}}, Replicas: replicas,
		},
		{Branch: dotmesh.Branch{ID: dotmesh.BranchID{UUID: uuid(2)}, Dot: dotmesh.DotID{UUID: uuid(1)}, Name: "attempt", Pointer: pointer}, MasterName: "node-1"},
		{
			Branch: dotmesh.Branch{
				ID: dotmesh.BranchID{UUID: uuid(3)}, Dot: dotmesh.DotID{UUID: uuid(1)}, Name: "master-RESET-20261122T101500Z", Pointer: pointer,
				Stash: &dotmesh.Stash{Reason: dotmesh.StashReset, Of: master, Node: node, At: moment, Expires: moment.AddDate(0, 0, 30)},
			},
			MasterName: "node-1",
		},
	}
	f := &fake{
		user: "admin",
		cluster: dotmesh.ClusterStatus{
			Cluster: dotmesh.Cluster{ID: dotmesh.ClusterID{UUID: uuid(0xe0)}, Feature: 1, Created: moment}, Voters: 1, Quorum: true,
			Certificates: []dotmesh.Certificate{{Name: "authority", Fingerprint: "00ff", Expires: moment.AddDate(10, 0, 0)}},
			Tokens:       []dotmesh.Token{{ID: uuid(0xe1), Voter: true, By: "admin", Created: moment, Expires: moment.Add(time.Hour)}},
		},
		moving: []dotmesh.Transfer{
			{
				ID: uuid(0xd1), Kind: dotmesh.TransferMove, Dot: dotmesh.DotName{Namespace: "admin", Name: "shop"}, Branch: "master", From: "node-1", To: "node-2",
				State: dotmesh.TransferRunning, Step: "receive", Commits: 1, Of: 3, Sent: 1 << 20, Size: 4 << 20, Rate: 512 << 10, Try: 1, Started: moment, Updated: moment,
			},
			{
				ID: uuid(0xd2), Kind: dotmesh.TransferReplica, Dot: dotmesh.DotName{Namespace: "admin", Name: "shop"}, Branch: "attempt", From: "node-1", To: "node-2",
				State: dotmesh.TransferWaiting, Try: 2, Started: moment, Updated: moment, Retry: moment.Add(5 * time.Second), Reason: "node-2 is out of reach",
			},
			{
				ID: uuid(0xd3), Kind: dotmesh.TransferPush, Dot: dotmesh.DotName{Namespace: "alice", Name: "blog"}, Branch: "master", From: "node-1", To: "hub",
				State: dotmesh.TransferDone, Commits: 2, Of: 2, Sent: 1536, Size: 1536, Try: 1, Started: moment, Updated: moment, Ended: moment,
			},
		},
		nodes: []dotmesh.NodeStatus{{Node: dotmesh.Node{ID: node, Name: "node-1", Version: "1.0", Pool: "btrfs"}, Alive: true, Self: true, Voter: true, Leader: true, Masters: 2, AsOf: moment, Pool: dotmesh.PoolUsage{Size: 10 << 30, Free: 9 << 30}}},
		commits: []dotmesh.Commit{
			commit(0xc2, "second\n\nwith a body", map[string]string{"job": "backup", "a": "1=2"}),
			commit(0xc1, "first", nil),
			commit(0xc0, "Initial commit", nil),
		},
		ops: []dotmesh.Op{
			{N: 2, Verb: dotmesh.VerbUndo, Name: "master", By: "admin", Time: moment, Undoes: 1, Old: dotmesh.Tip{Commit: dotmesh.CommitID{UUID: uuid(0xc2)}}, New: dotmesh.Tip{Commit: dotmesh.CommitID{UUID: uuid(0xc1)}}},
			{N: 1, Verb: dotmesh.VerbCommit, Name: "master", By: "admin", Time: moment},
		},
		changes: []dotmesh.FileChange{
			{Path: "__default__/new", Kind: dotmesh.Added, Size: 5},
			{Path: "__default__/old", Kind: dotmesh.Modified, Size: 7},
			{Path: "gone", Kind: dotmesh.Removed, Size: 9},
		},
	}
	f.add("shop", branches)
	return f
}

func (f *fake) add(name string, branches []dotmesh.BranchStatus) {
	dot, err := dotmesh.ParseDotName(name)
	if err != nil {
		panic(err)
	}
	f.dots = append(f.dots, dotmesh.DotDetail{
		DotStatus: dotmesh.DotStatus{Dot: dotmesh.Dot{ID: dotmesh.DotID{UUID: uuid(1)}, Name: dot}, Branch: branches[0], Branches: len(branches)},
		All:       branches,
	})
}

func (f *fake) find(dot dotmesh.DotName, branch dotmesh.Name) (dotmesh.DotDetail, dotmesh.BranchStatus, error) {
	if f.err != nil {
		return dotmesh.DotDetail{}, dotmesh.BranchStatus{}, f.err
	}
	for _, d := range f.dots {
		if d.Name != dot {
			continue
		}
		for _, b := range d.All {
			if b.Name == branch || branch == "" && b.Current {
				return d, b, nil
			}
		}
		return d, dotmesh.BranchStatus{}, dotmesh.E("fake", dotmesh.NotFound, "no branch called %q", branch)
	}
	return dotmesh.DotDetail{}, dotmesh.BranchStatus{}, dotmesh.E("fake", dotmesh.NotFound, "no dot called %q", dot)
}

func (f *fake) ask(r any) { f.asked = append(f.asked, r) }

func (f *fake) Version(context.Context) (dotmesh.Version, error) {
	return dotmesh.Version{Version: "1.0", Name: "node-1"}, f.err
}

func (f *fake) Whoami(context.Context) (dotmesh.User, error) {
	return dotmesh.User{Name: f.user}, f.err
}

func (f *fake) Dots(context.Context) ([]dotmesh.DotStatus, error) {
	var dots []dotmesh.DotStatus
	for _, d := range f.dots {
		dots = append(dots, d.DotStatus)
	}
	return dots, f.err
}

func (f *fake) Dot(_ context.Context, dot dotmesh.DotName) (dotmesh.DotDetail, error) {
	d, _, err := f.find(dot, "")
	d.All = slices.Clone(d.All)
	return d, err
}

func (f *fake) CreateDot(_ context.Context, r dotmesh.CreateDot) (dotmesh.DotStatus, error) {
	f.ask(r)
	if _, _, err := f.find(r.Dot, ""); err == nil {
		return dotmesh.DotStatus{}, dotmesh.E("fake", dotmesh.Exists, "there is one")
	}
	return dotmesh.DotStatus{Dot: dotmesh.Dot{Name: r.Dot}}, f.err
}

func (f *fake) ForkDot(_ context.Context, r dotmesh.ForkDot) (dotmesh.DotStatus, error) {
	f.ask(r)
	return dotmesh.DotStatus{Dot: dotmesh.Dot{Name: r.Dot}}, f.err
}

func (f *fake) DeleteDot(_ context.Context, r dotmesh.DeleteDot) error {
	f.ask(r)
	_, _, err := f.find(r.Dot, "")
	return err
}

func (f *fake) SetDot(_ context.Context, r dotmesh.SetDot) (dotmesh.DotStatus, error) {
	f.ask(r)
	d, _, err := f.find(r.Dot, "")
	return d.DotStatus, err
}

func (f *fake) CreateBranch(_ context.Context, r dotmesh.CreateBranch) (dotmesh.BranchStatus, error) {
	f.ask(r)
	d, _, err := f.find(r.From.Dot, "")
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	for _, b := range d.All {
		if b.Name == r.Name {
			return b, dotmesh.E("fake", dotmesh.Exists, "there is one")
		}
	}
	for i := range f.dots {
		if f.dots[i].Name == r.From.Dot {
			f.dots[i].All = append(f.dots[i].All, dotmesh.BranchStatus{Branch: dotmesh.Branch{Name: r.Name}})
		}
	}
	return dotmesh.BranchStatus{Branch: dotmesh.Branch{Name: r.Name}}, nil
}

func (f *fake) DeleteBranch(_ context.Context, r dotmesh.BranchRequest) error {
	f.ask(r)
	_, _, err := f.find(r.Dot, r.Branch)
	return err
}

func (f *fake) Checkout(_ context.Context, r dotmesh.BranchRequest) (dotmesh.BranchStatus, error) {
	f.ask(r)
	_, b, err := f.find(r.Dot, r.Branch)
	return b, err
}

func (f *fake) Commit(_ context.Context, r dotmesh.CommitRequest) (dotmesh.Commit, error) {
	f.ask(r)
	_, _, err := f.find(r.Dot, r.Branch)
	id := r.ID
	if id.IsZero() {
		id = dotmesh.CommitID{UUID: uuid(0xc9)}
	}
	return dotmesh.Commit{ID: id, Message: r.Message}, err
}

// Log answers with at most two commits at a time.
func (f *fake) Log(_ context.Context, r dotmesh.LogRequest) (dotmesh.LogPage, error) {
	_, _, err := f.find(r.Dot, r.Branch)
	rest := f.commits
	if i := slices.IndexFunc(rest, func(c dotmesh.Commit) bool { return c.ID == r.Before }); i >= 0 {
		rest = rest[i+1:]
	}
	n := min(2, len(rest), r.Limit)
	return dotmesh.LogPage{Commits: rest[:n], More: n < len(rest)}, err
}

func (f *fake) Reset(_ context.Context, r dotmesh.ResetRequest) (dotmesh.Changed, error) {
	f.ask(r)
	_, b, err := f.find(r.Dot, r.Branch)
	return dotmesh.Changed{Branch: b, Stash: f.stash}, err
}

func (f *fake) Discard(ctx context.Context, r dotmesh.ResetRequest) (dotmesh.Changed, error) {
	return f.Reset(ctx, r)
}

func (f *fake) DeleteCommit(_ context.Context, r dotmesh.CommitRef) error {
	f.ask(r)
	_, _, err := f.find(r.Dot, r.Branch)
	return err
}

func (f *fake) Check(context.Context, dotmesh.CheckRequest) iter.Seq2[dotmesh.Checked, error] {
	return func(yield func(dotmesh.Checked, error) bool) {
		for _, c := range f.checked {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (f *fake) Diff(_ context.Context, r dotmesh.DiffRequest) iter.Seq2[dotmesh.FileChange, error] {
	f.ask(r)
	return func(yield func(dotmesh.FileChange, error) bool) {
		if _, _, err := f.find(r.Dot, r.Branch); err != nil {
			yield(dotmesh.FileChange{}, err)
			return
		}
		for _, c := range f.changes {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (f *fake) Undo(_ context.Context, r dotmesh.UndoRequest) (dotmesh.Undone, error) {
	f.ask(r)
	_, b, err := f.find(r.Dot, "")
	return dotmesh.Undone{Op: f.ops[0], Change: &dotmesh.Changed{Branch: b, Stash: f.stash}}, err
}

func (f *fake) Ops(_ context.Context, r dotmesh.OpsRequest) ([]dotmesh.Op, error) {
	_, _, err := f.find(r.Dot, "")
	return f.ops[:min(len(f.ops), r.Limit)], err
}

func (f *fake) Status(_ context.Context, r dotmesh.StatusRequest) (dotmesh.BranchStatus, error) {
	_, b, err := f.find(r.Dot, r.Branch)
	return b, err
}

func (f *fake) Mount(_ context.Context, r dotmesh.MountRequest) (dotmesh.Mounted, error) {
	f.ask(r)
	return dotmesh.Mounted{Path: f.mountAt}, f.err
}

func (f *fake) Unmount(_ context.Context, r dotmesh.MountRequest) error {
	f.ask(r)
	return f.err
}

func (f *fake) MountCommit(_ context.Context, r dotmesh.CommitRef) (dotmesh.Mounted, error) {
	f.ask(r)
	return dotmesh.Mounted{Path: f.mountAt, Commit: f.mounted}, f.err
}

func (f *fake) Takeover(_ context.Context, r dotmesh.TakeoverRequest) (dotmesh.Changed, error) {
	f.ask(r)
	_, b, err := f.find(r.Dot, r.Branch)
	return dotmesh.Changed{Branch: b, Stash: f.stash}, err
}

func (f *fake) Nodes(context.Context) ([]dotmesh.NodeStatus, error) { return f.nodes, f.err }

func (f *fake) Cluster(context.Context) (dotmesh.ClusterStatus, error) {
	if f.private != nil {
		return dotmesh.ClusterStatus{}, f.private
	}
	return f.cluster, f.err
}

func (f *fake) Move(_ context.Context, r dotmesh.MoveRequest) (dotmesh.Transfer, error) {
	f.ask(r)
	if _, _, err := f.find(r.Dot, r.Branch); err != nil {
		return dotmesh.Transfer{}, err
	}
	return f.moving[0], nil
}

func (f *fake) Transfers(context.Context) ([]dotmesh.Transfer, error) { return f.moving, f.err }

func (f *fake) CancelTransfer(_ context.Context, id dotmesh.UUID) error {
	f.ask("cancel " + id.String())
	return f.err
}

func (f *fake) RetryTransfer(_ context.Context, id dotmesh.UUID) error {
	f.ask("retry " + id.String())
	return f.err
}

func (f *fake) Drain(_ context.Context, r dotmesh.DrainRequest) ([]dotmesh.Transfer, error) {
	f.ask(r)
	if f.err != nil || r.Stop {
		return nil, f.err
	}
	return f.moving[:1], nil
}

func (f *fake) CreateToken(_ context.Context, r dotmesh.TokenRequest) (dotmesh.Token, dotmesh.Secret, error) {
	f.ask(r)
	return dotmesh.Token{ID: uuid(0xe1), Voter: r.Voter, By: "admin", Created: moment, Expires: moment.Add(r.Lasts)}, "the secret", f.err
}

func (f *fake) RevokeToken(_ context.Context, id dotmesh.UUID) error {
	f.ask("revoke " + id.String())
	return f.err
}

func (f *fake) Events(ctx context.Context, _ string) iter.Seq2[dotmesh.Event, error] {
	return func(yield func(dotmesh.Event, error) bool) {
		for _, e := range f.events {
			for i := range f.dots[0].All {
				f.dots[0].All[i].Pointer.Count++
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (f *fake) Export(context.Context) ([]dotmesh.Entry, error) {
	return []dotmesh.Entry{{Key: "cluster", Value: []byte("{}")}}, f.err
}

func (f *fake) Import(_ context.Context, entries []dotmesh.Entry) error {
	f.ask(entries)
	return f.err
}

func (f *fake) Recover(context.Context) (dotmesh.Recovered, error) {
	return dotmesh.Recovered{Dots: 1, Branches: 2, Commits: 3, Notes: []string{"one\x1b[31m note"}}, f.err
}

func (f *fake) Call(_ context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
	f.ask(method + " " + string(params))
	return json.RawMessage(`{"result":"fine"}`), f.err
}

// shell runs command lines of dm in this process, against a fake and with a home of its own.
type shell struct {
	t       testing.TB
	service dotmesh.Service
	home    string
	env     map[string]string
	stdin   string
	secret  string
	out     string
	err     string
	dialed  endpoint
}

func newShell(t testing.TB, service dotmesh.Service) *shell {
	return &shell{t: t, service: service, home: t.TempDir(), env: map[string]string{}}
}

func (s *shell) config() string { return filepath.Join(s.home, ".dotmesh", "config") }

// run runs one command line and returns its exit code; Out and Err hold what it printed.
func (s *shell) run(args ...string) int {
	return s.runContext(s.t.Context(), args...)
}

func (s *shell) runContext(ctx context.Context, args ...string) int {
	var out bytes.Buffer
	code := s.start(ctx, &out, args)
	s.out = out.String()
	return code
}

// runTo is run with another standard output.
func (s *shell) runTo(w io.Writer, args ...string) int { return s.start(s.t.Context(), w, args) }

func (s *shell) start(ctx context.Context, out io.Writer, args []string) int {
	var err bytes.Buffer
	code := run(ctx, s.environment(out, &err), args)
	s.err = err.String()
	return code
}

func (s *shell) environment(out, err io.Writer) *env {
	return &env{
		IO: &streams{
			In: strings.NewReader(s.stdin), Out: bufio.NewWriter(out), Err: err,
			ReadSecret: func(string) (string, error) { return s.secret, nil },
		},
		Getenv: func(name string) string { return s.env[name] },
		Home:   func() (string, error) { return s.home, nil },
		Now:    func() time.Time { return moment },
		Dial: func(e endpoint) (dotmesh.Service, error) {
			s.dialed = e
			return s.service, nil
		},
	}
}
