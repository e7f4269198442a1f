package feed_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
	"dotmesh.io/dotmesh/tui/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watch runs a feed on a server with some dots inside a bubble, and hands both to test.
func watch(t *testing.T, dots int, test func(t *testing.T, s *server, f *feed.Feed)) {
	t.Helper()
	watchAs(t, dots, func(s *server) dotmesh.Service { return s }, test)
}

// inOneAndInPieces runs a test on a server that hands its dots out all at once, and on one
// that does as they come.
func inOneAndInPieces(t *testing.T, dots int, test func(t *testing.T, s *server, f *feed.Feed)) {
	t.Run("in one", func(t *testing.T) { watch(t, dots, test) })
	t.Run("in pieces", func(t *testing.T) {
		watchAs(t, dots, func(s *server) dotmesh.Service { return streamed{s} }, test)
	})
}

func watchAs(t *testing.T, dots int, as func(*server) dotmesh.Service, test func(t *testing.T, s *server, f *feed.Feed)) {
	bubble.Test(t, func(t *testing.T) {
		s := newServer(dots)
		f := feed.New(as(s), time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if err := f.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Run ended with %v", err)
			}
		})
		defer group.Wait()
		defer cancel()
		test(t, s, f)
	})
}

// after lets time pass and returns the picture then.
func after(t *testing.T, f *feed.Feed, d time.Duration) *feed.Picture {
	t.Helper()
	pass(t.Context(), d)
	synctest.Wait()
	p, err := f.Next(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantLive(t *testing.T, s *server, p *feed.Picture) {
	t.Helper()
	if p.State != feed.Live || p.Err != nil {
		t.Errorf("it is %v: %v", p.State, p.Err)
	}
	var got []dotmesh.DotStatus
	for _, d := range p.Dots {
		got = append(got, *d)
	}
	if diff := cmp.Diff(s.list(), got); diff != "" {
		t.Errorf("the picture is not true (-want +got):\n%s", diff)
	}
}

func firstBranch(i int) dotmesh.BranchID { return dotmesh.BranchID{UUID: uuid('d', i)} }

func TestFirstPicture(t *testing.T) {
	watch(t, 3, func(t *testing.T, s *server, f *feed.Feed) {
		first, err := f.Next(t.Context(), 0)
		if err != nil || first.Rev != 1 || first.State != feed.Connecting {
			t.Fatalf("the first picture is %+v, %v", first, err)
		}
		p := after(t, f, 0)
		wantLive(t, s, p)
		if p.Version.Name != "node-1" || p.User.Name != "ann" || p.User.Email != `ann\x1b@x` || len(p.Nodes) != 2 || !p.AsOf.Equal(time.Now()) {
			t.Errorf("got %+v", p)
		}
	})
}

func TestAChangeReplacesOnePointer(t *testing.T) {
	watch(t, 3, func(t *testing.T, s *server, f *feed.Feed) {
		before := after(t, f, 2*time.Second)
		was := *before.Dots[1]
		s.do(func() { s.measure(firstBranch(1), 4096) })
		p := after(t, f, time.Second)
		wantLive(t, s, p)
		if p.Dots[0] != before.Dots[0] || p.Dots[1] == before.Dots[1] || p.Dots[2] != before.Dots[2] {
			t.Error("another dot's pointer was replaced, or this one's was not")
		}
		if diff := cmp.Diff(was, *before.Dots[1]); diff != "" {
			t.Errorf("what was published changed:\n%s", diff)
		}
		now, ok := f.Dot(p.Dots[1].ID)
		if branch, known := f.Branch(firstBranch(1)); !ok || !known || now.Branch.Size != 4096 || branch.Size != 4096 {
			t.Error("looking it up gives something else")
		}
		s.do(func() { s.measure(firstBranch(1), 8192) })
		if synctest.Wait(); now.Branch.Size != 4096 {
			t.Error("what was handed out changed")
		}
	})
}

func TestWhatHappensToDots(t *testing.T) {
	var s *server
	side, stash := dotmesh.BranchID{UUID: uuid('b', 1)}, dotmesh.BranchID{UUID: uuid('b', 2)}
	one := dotmesh.DotID{UUID: uuid('d', 1)}
	for name, happens := range map[string][]func(){
		"nothing":                    {},
		"a dot is made":              {func() { s.create(7) }},
		"and in the middle":          {func() { s.create(0) }, func() { s.create(9) }, func() { s.create(8) }},
		"a dot is deleted":           {func() { s.destroy(one) }},
		"made and deleted":           {func() { s.create(7) }, func() { s.destroy(dotmesh.DotID{UUID: uuid('d', 7)}) }},
		"deleted and made":           {func() { s.destroy(one) }, func() { s.create(1) }},
		"a commit":                   {func() { s.commit(firstBranch(1), 1, "x") }},
		"a branch":                   {func() { s.fork(one, side, "side", nil) }},
		"a branch is dropped":        {func() { s.fork(one, side, "side", nil) }, func() { s.drop(side) }},
		"a stash":                    {func() { s.fork(one, stash, "master-RESET", &dotmesh.Stash{Reason: dotmesh.StashReset}) }},
		"a branch of a new dot":      {func() { s.create(7) }, func() { s.fork(dotmesh.DotID{UUID: uuid('d', 7)}, side, "side", nil) }},
		"a checkout":                 {func() { s.fork(one, side, "side", nil) }, func() { s.checkout(side) }},
		"a checkout and back":        {func() { s.fork(one, side, "side", nil) }, func() { s.checkout(side) }, func() { s.checkout(firstBranch(1)) }},
		"a commit on another branch": {func() { s.fork(one, side, "side", nil) }, func() { s.commit(side, 2, "y") }, func() { s.checkout(side) }},
		"figures of another branch":  {func() { s.fork(one, side, "side", nil) }, func() { s.measure(side, 10) }, func() { s.checkout(side) }},
	} {
		for _, rest := range []time.Duration{0, time.Millisecond, 3 * time.Second} {
			t.Run(fmt.Sprint(name, " ", rest), func(t *testing.T) {
				watch(t, 3, func(t *testing.T, fake *server, f *feed.Feed) {
					s = fake
					after(t, f, 5*time.Second)
					for _, change := range happens {
						s.do(change)
						pass(t.Context(), rest)
					}
					wantLive(t, s, after(t, f, time.Second))
					lists := s.called("Dots")
					if lists != 2 {
						t.Errorf("everything was listed %d times", lists)
					}
				})
			})
		}
	}
}

// TestWhateverHappens: at the end the picture is what the server says, whatever happened and
// however the connection fared.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inOneAndInPieces(t, 5, func(t *testing.T, s *server, f *feed.Feed) {
				r := rand.New(rand.NewPCG(seed, 1))
				s.do(func() { s.patient = true })
				for i := range 200 {
					s.do(func() { somethingHappens(s, r, i) })
					if r.IntN(3) == 0 {
						pass(t.Context(), time.Duration(r.IntN(300))*time.Millisecond)
					}
				}
				s.do(func() {
					s.mute, s.fault, s.slow = false, nil, 0
					s.wake()
				})
				wantLive(t, s, after(t, f, 10*time.Second))
				if err := f.Check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func somethingHappens(s *server, r *rand.Rand, i int) {
	var ids []dotmesh.BranchID
	for id := range s.branches {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b dotmesh.BranchID) int { return slices.Compare(a.UUID[:], b.UUID[:]) })
	branch := s.branches[ids[r.IntN(len(ids))]]
	current := s.dots[branch.Dot].Current == branch.ID
	switch what := r.IntN(24); {
	case what < 3:
		s.create(100 + i)
	case what < 5 && len(s.dots) > 1:
		s.destroy(branch.Dot)
	case what < 9:
		s.fork(branch.Dot, dotmesh.BranchID{UUID: uuid('b', i)}, dotmesh.Name(fmt.Sprint("b", i)), nil)
	case what < 11 && !current && branch.Name != dotmesh.MasterBranch:
		s.drop(branch.ID)
	case what < 13:
		s.checkout(branch.ID)
	case what < 16:
		s.commit(branch.ID, i, "x")
	case what < 19:
		s.measure(branch.ID, int64(i))
	case what < 20:
		s.breakStreams()
	case what < 21:
		s.kept = len(s.events)
		s.breakStreams()
	case what < 22:
		s.slow = time.Duration(r.IntN(400)) * time.Millisecond
	case what < 23:
		s.mute = !s.mute
		s.wake()
		if r.IntN(2) == 0 {
			s.breakStreams()
		}
	default:
		s.fault = nil
		if r.IntN(2) == 0 {
			s.fault = dotmesh.E("x", dotmesh.Unreachable, "refused")
			s.breakStreams()
		}
	}
}

func TestAMillionEvents(t *testing.T) {
	watch(t, 100, func(t *testing.T, s *server, f *feed.Feed) {
		p := after(t, f, 2*time.Second)
		pictures := 0
		var reader sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		reader.Go(func() {
			for seen := p.Rev; ; pictures++ {
				p, err := f.Next(ctx, seen)
				if err != nil {
					return
				}
				if p.Rev != seen+1 {
					t.Errorf("picture %d after %d", p.Rev, seen)
				}
				seen = p.Rev
			}
		})
		began := time.Now()
		for i := range 1000 {
			s.do(func() {
				for j := range 900 {
					stats := dotmesh.Stats{Branch: firstBranch(j % 100), Size: int64(j)}
					s.events = append(s.events, dotmesh.Event{Kind: dotmesh.EventStats, Cursor: strconv.Itoa(s.base + j), Stats: &stats})
				}
				for j := range 100 {
					s.measure(firstBranch(j), int64(i*100+j+1))
				}
			})
			pass(t.Context(), 3*time.Millisecond)
			synctest.Wait()
			s.do(func() { s.base, s.events = s.base+len(s.events), nil }) // they have been read
		}
		synctest.Wait()
		wantLive(t, s, after(t, f, 125*time.Millisecond))
		if eighths := int(time.Since(began) / (125 * time.Millisecond)); pictures > eighths+1 || pictures < eighths/2 {
			t.Errorf("%d pictures in %d eighths of a second", pictures, eighths)
		}
		cancel()
		reader.Wait()
	})
}

func TestTheFirstChangeIsShownAtOnce(t *testing.T) {
	watch(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
		seen := after(t, f, 2*time.Second).Rev
		pass(t.Context(), time.Second)
		var took []time.Duration
		for i := range 3 {
			began := time.Now()
			s.do(func() { s.measure(firstBranch(0), int64(i+1)) })
			p, err := f.Next(t.Context(), seen)
			if err != nil {
				t.Fatal(err)
			}
			seen, took = p.Rev, append(took, time.Since(began))
		}
		if want := []time.Duration{0, 125 * time.Millisecond, 125 * time.Millisecond}; !slices.Equal(took, want) {
			t.Errorf("changes took %v, want %v", took, want)
		}
	})
}

func TestNothingHappensNothingIsDrawn(t *testing.T) {
	watch(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
		p := after(t, f, 5*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if p, err := f.Next(ctx, p.Rev); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a picture came: %+v", p)
		}
	})
}

func TestResume(t *testing.T) {
	watch(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 2*time.Second)
		s.do(func() { s.commit(firstBranch(0), 1, "one") })
		after(t, f, time.Second)
		s.do(func() {
			s.breakStreams()
			s.commit(firstBranch(1), 2, "two")
		})
		wantLive(t, s, after(t, f, time.Second))
		s.do(func() {
			if want := []string{"", "1"}; !slices.Equal(s.cursors, want) {
				t.Errorf("streams began at %q, want %q", s.cursors, want)
			}
		})
		if lines := texts(f); !slices.Contains(lines, "node-2: commit 63000000 on dot-00001@master by ann: two") {
			t.Errorf("what happened meanwhile is not told: %q", lines)
		}
	})
}

func texts(f *feed.Feed) (all []string) {
	p, _ := f.Next(context.Background(), 0)
	for _, l := range p.Log.Append(nil, 0) {
		all = append(all, l.Text)
	}
	return all
}

func TestGap(t *testing.T) {
	watch(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 2*time.Second)
		s.do(func() { s.commit(firstBranch(0), 1, "one") })
		after(t, f, time.Second)
		s.do(func() {
			s.create(5)
			s.destroy(dotmesh.DotID{UUID: uuid('d', 0)})
			s.kept = len(s.events)
			s.breakStreams()
		})
		p := after(t, f, 3*time.Second)
		wantLive(t, s, p)
		if lines := texts(f); !slices.Contains(lines, "some events were missed; everything is listed anew") {
			t.Errorf("nothing is said of the gap: %q", lines)
		}
		s.do(func() { s.create(6) })
		wantLive(t, s, after(t, f, 3*time.Second))
	})
}

func TestACursorThatIsRefusedIsForgotten(t *testing.T) {
	watch(t, 1, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 2*time.Second)
		s.do(func() {
			s.measure(firstBranch(0), 1)
			s.events[0].Cursor = "other-1"
		})
		after(t, f, time.Second)
		s.do(s.breakStreams)
		wantLive(t, s, after(t, f, 3*time.Second))
		s.do(func() {
			if want := []string{"", "other-1", ""}; !slices.Equal(s.cursors, want) {
				t.Errorf("streams began at %q, want %q", s.cursors, want)
			}
		})
	})
}

func TestLostAndBack(t *testing.T) {
	for name, test := range map[string]struct{ leave, back func(*server) }{
		"its connections break and are refused": {
			func(s *server) {
				s.fault = dotmesh.E("dial", dotmesh.Unreachable, "connection refused")
				s.breakStreams()
			},
			func(s *server) { s.fault = nil },
		},
		"it falls silent": {
			func(s *server) { s.mute = true },
			func(s *server) { s.mute = false },
		},
		"it falls silent and starts anew": {
			func(s *server) { s.mute = true },
			func(s *server) { s.mute = false; s.kept = len(s.events); s.breakStreams() },
		},
		"its calls are refused but not its stream": {
			func(s *server) { s.fault = dotmesh.E("dial", dotmesh.Unreachable, "connection refused") },
			func(s *server) { s.fault = nil },
		},
	} {
		for _, away := range []time.Duration{2 * time.Second, 9 * time.Second, 61*time.Second + 300*time.Millisecond, 10 * time.Minute} {
			t.Run(fmt.Sprint(name, " for ", away), func(t *testing.T) {
				watch(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
					after(t, f, 7*time.Second+100*time.Millisecond)
					heard := time.Now()
					s.do(func() { test.leave(s) })
					p := after(t, f, 2*time.Second)
					if p.State != feed.Lost || !errors.Is(p.Err, dotmesh.Unreachable) || p.AsOf.After(heard) || heard.Sub(p.AsOf) > time.Second {
						t.Errorf("after 2 s it is %v (%v), as of %v before", p.State, p.Err, heard.Sub(p.AsOf))
					}
					pass(t.Context(), away-2*time.Second)
					s.do(func() {
						s.create(3)
						test.back(s)
					})
					wantLive(t, s, after(t, f, time.Second))
				})
			})
		}
	}
}

func TestAServerThatRefusesIsAskedLessAndLess(t *testing.T) {
	watch(t, 1, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 10*time.Second)
		denied := dotmesh.E("x", dotmesh.Unauthenticated, "log in first\x1b")
		refuse := &refusing{server: s, err: denied}
		f2 := feed.New(refuse, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f2.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		p, _ := f2.Next(t.Context(), 0)
		if p.State != feed.Lost || !errors.Is(p.Err, dotmesh.Unauthenticated) || dotmesh.Text(p.Err) != `log in first\x1b` {
			t.Errorf("it is %v: %v", p.State, p.Err)
		}
		if refuse.asked < 12 || refuse.asked > 18 {
			t.Errorf("in a minute it was asked %d times", refuse.asked)
		}
	})
}

// refusing is a server that answers, but does not list its dots.
type refusing struct {
	*server
	err   error
	asked int
}

func (r *refusing) Dots(context.Context) ([]dotmesh.DotStatus, error) {
	r.asked++
	return nil, r.err
}

func TestASlowServerIsNotALostOne(t *testing.T) {
	watch(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
		s.do(func() { s.latency = 1500 * time.Millisecond })
		after(t, f, 20*time.Second)
		lists := s.called("Dots")
		p := after(t, f, time.Minute)
		wantLive(t, s, p)
		if more := s.called("Dots") - lists; more > 3 {
			t.Errorf("in a minute everything was listed %d times", more)
		}
		if lines := texts(f); len(lines) > 4 {
			t.Errorf("it was lost again and again: %q", lines)
		}
	})
}

// TestALongListing: while dots come in, the server is not too slow.
func TestALongListing(t *testing.T) {
	slowly := func(s *server) dotmesh.Service {
		s.slow = time.Minute
		return streamed{s}
	}
	watchAs(t, 10, slowly, func(t *testing.T, s *server, f *feed.Feed) {
		wantLive(t, s, after(t, f, 70*time.Second))
		pass(t.Context(), time.Minute) // for the second listing
		s.do(func() { s.slow = 10 * 11 * time.Second })
		f.Refresh()
		if p := after(t, f, 12*time.Second); p.State != feed.Lost || !errors.Is(p.Err, dotmesh.Timeout) {
			t.Errorf("it is %v: %v, and nothing came for longer than 10 s", p.State, p.Err)
		}
	})
}

func TestAServerThatHangsIsLost(t *testing.T) {
	watch(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 5*time.Second)
		s.do(func() { s.slow = time.Minute })
		f.Refresh()
		if p := after(t, f, 9*time.Second); p.State != feed.Live {
			t.Errorf("it is %v: %v", p.State, p.Err)
		}
		p := after(t, f, 2*time.Second)
		if p.State != feed.Lost || dotmesh.Text(p.Err) != "the server took longer than 10 s to answer" {
			t.Errorf("it is %v: %v", p.State, p.Err)
		}
		s.do(func() { s.slow = 0 })
		wantLive(t, s, after(t, f, 20*time.Second))
	})
}

func TestManyDotsThatAreUnclear(t *testing.T) {
	watch(t, 100, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 5*time.Second)
		s.do(func() {
			for i := range 100 {
				s.fork(dotmesh.DotID{UUID: uuid('d', i)}, dotmesh.BranchID{UUID: uuid('b', i)}, "side", nil)
			}
		})
		wantLive(t, s, after(t, f, 3*time.Second))
		if calls := s.called("Dot"); calls > 0 || s.called("Dots") > 3 {
			t.Errorf("%d dots were asked about, and %d listings", calls, s.called("Dots"))
		}
	})
}

func TestWhatComesDuringAListingIsNewer(t *testing.T) {
	inOneAndInPieces(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 10*time.Second)
		s.do(func() { s.slow = time.Second })
		f.Refresh()
		pass(t.Context(), 100*time.Millisecond)
		s.do(func() {
			s.commit(firstBranch(0), 1, "one")
			s.measure(firstBranch(0), 77)
			s.create(5)
			s.destroy(dotmesh.DotID{UUID: uuid('d', 1)})
		})
		wantLive(t, s, after(t, f, 500*time.Millisecond))
		wantLive(t, s, after(t, f, time.Second))
		if n := len(texts(f)); n != 4 {
			t.Errorf("what happened was told %d times: %q", n, texts(f))
		}
	})
}

func TestRefresh(t *testing.T) {
	watch(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 10*time.Second)
		s.do(func() {
			b := s.branches[firstBranch(1)]
			b.Containers = []dotmesh.Container{{ID: "1", Name: "web"}} // of which no event tells
			s.branches[b.ID] = b
		})
		f.Refresh()
		wantLive(t, s, after(t, f, 125*time.Millisecond))
	})
}

func TestALookFindsWhatNoEventTold(t *testing.T) {
	watch(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 10*time.Second)
		s.do(func() { s.deaf = true; s.create(5) })
		wantLive(t, s, after(t, f, 35*time.Second))
		if streams := s.called("Events"); streams != 2 {
			t.Errorf("there were %d streams; the deaf one was not given up", streams)
		}
	})
}

func TestNodes(t *testing.T) {
	watch(t, 1, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 10*time.Second)
		before := s.called("Nodes")
		for range 50 {
			s.do(func() {
				s.nodes[1].Alive = !s.nodes[1].Alive
				s.happen(dotmesh.Event{Kind: dotmesh.EventNode, Node: &dotmesh.Node{ID: nodeID(2)}, Deleted: !s.nodes[1].Alive})
			})
			pass(t.Context(), 100*time.Millisecond)
		}
		p := after(t, f, time.Second)
		if calls := s.called("Nodes") - before; calls < 4 || calls > 6 {
			t.Errorf("in five seconds the nodes were listed %d times", calls)
		}
		if !p.Nodes[1].Alive {
			t.Error("the last word is not shown")
		}
		s.do(func() { s.nodes[1].Alive = false })
		s.do(func() {
			s.happen(dotmesh.Event{Kind: dotmesh.EventNode, Node: &dotmesh.Node{ID: nodeID(2)}, Deleted: true})
		})
		synctest.Wait()
		if node, ok := f.Node(nodeID(2)); !ok || node.Alive {
			t.Errorf("looked up it is %+v (%v)", node, ok)
		}
		if p := after(t, f, time.Second); p.Nodes[1].Alive {
			t.Error("a silent node is shown as alive")
		}
	})
}

func TestTransfers(t *testing.T) {
	watch(t, 1, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 10*time.Second)
		for i := range 3 {
			tr := dotmesh.Transfer{ID: uuid('t', i), Kind: dotmesh.TransferPush, Dot: dotName(0), Branch: "master", From: "node-1", To: "hub", State: dotmesh.TransferRunning, Started: time.Now()}
			s.do(func() {
				s.transfers = append(s.transfers, tr)
				s.happen(dotmesh.Event{Kind: dotmesh.EventTransfer, Transfer: &tr})
				more := tr
				more.Sent = 100
				s.happen(dotmesh.Event{Kind: dotmesh.EventTransfer, Transfer: &more})
			})
			pass(t.Context(), time.Second)
		}
		failed := dotmesh.Transfer{ID: uuid('t', 1), Kind: dotmesh.TransferPush, Dot: dotName(0), Branch: "master", From: "node-1", To: "hub", State: dotmesh.TransferFailed, Reason: "peer\nclosed", Started: time.Now().Add(-2 * time.Second)}
		s.do(func() { s.happen(dotmesh.Event{Kind: dotmesh.EventTransfer, Transfer: &failed}) })
		p := after(t, f, time.Second)
		if len(p.Transfers) != 3 || p.Transfers[0].ID != uuid('t', 2) || p.Transfers[1].State != dotmesh.TransferFailed || p.Transfers[2].Sent != 100 {
			t.Errorf("got %+v", p.Transfers)
		}
		want := []string{
			"push of dot-00000@master from node-1 to hub: running",
			"push of dot-00000@master from node-1 to hub: running",
			"push of dot-00000@master from node-1 to hub: running",
			`push of dot-00000@master from node-1 to hub: failed: peer\x0aclosed`,
		}
		if got := texts(f)[1:]; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

func TestTheLogSpeaks(t *testing.T) {
	one := dotmesh.DotID{UUID: uuid('d', 1)}
	side := dotmesh.BranchID{UUID: uuid('b', 1)}
	watch(t, 2, func(t *testing.T, s *server, f *feed.Feed) {
		after(t, f, 10*time.Second)
		s.do(func() {
			s.commit(firstBranch(1), 1, "add \x1b[2J invoices")
			s.fork(one, side, "fix-42", nil)
			s.checkout(side)
			b := s.branches[side]
			b.Pointer.Master = nodeID(1)
			b.MasterName = "node-1"
			s.branches[side] = b
			s.happen(dotmesh.Event{Kind: dotmesh.EventBranch, Branch: &b.Branch})
			s.drop(side)
			s.happen(dotmesh.Event{Kind: dotmesh.EventLog, Log: &dotmesh.LogRecord{Node: nodeID(1), Level: "WARN", Text: "pool is nearly full"}})
			s.happen(dotmesh.Event{Kind: dotmesh.EventNode, Node: &dotmesh.Node{ID: nodeID(2)}, Deleted: true})
			s.happen(dotmesh.Event{Kind: dotmesh.EventCommit, Commit: &dotmesh.Commit{ID: dotmesh.CommitID{UUID: uuid('c', 9)}, Author: "bob"}})
			s.create(3)
			s.destroy(dotmesh.DotID{UUID: uuid('d', 3)})
			s.happen(dotmesh.Event{Kind: "something new"})
			s.happen(dotmesh.Event{Kind: dotmesh.EventBranch})
		})
		want := []string{
			"info|||node-1|connected to node-1, version 1.4.0",
			`info|dot-00001|master|node-2|node-2: commit 63000000 on dot-00001@master by ann: add \x1b[2J invoices`,
			"info|dot-00001|fix-42|node-2|node-2: dot-00001@fix-42 was made",
			"info|dot-00001|fix-42||the current branch of dot-00001 is fix-42 now",
			"info|dot-00001|fix-42|node-1|node-1: dot-00001@fix-42 came from node-2",
			"info|dot-00001|fix-42|node-1|node-1: dot-00001@fix-42 was dropped",
			"warn|||node-1|node-1: pool is nearly full",
			"warn|||node-2|node-2 fell silent",
			"info|dot-00003|||dot-00003 was made",
			"info|dot-00003|||dot-00003 was deleted",
			"info||||commit 63000000 by bob",
		}
		var got []string
		p := after(t, f, 200*time.Millisecond)
		for _, l := range p.Log.Append(nil, 0) {
			got = append(got, strings.Join([]string{l.Level, l.Dot, l.Branch, l.Node, l.Text}, "|"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
