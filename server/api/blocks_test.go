package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

// numbers are the first n numbers.
func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestLinesOfAListAreCompleteAndInOrder(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 1000, 10_000} {
		var got, want strings.Builder
		for _, i := range numbers(n) {
			want.WriteString(strconv.Itoa(i) + "\n")
		}
		for lines, err := range api.Lines(numbers(n)) {
			if err != nil {
				t.Fatal(err)
			}
			got.Write(lines)
		}
		if got.String() != want.String() {
			t.Errorf("%d values: got\n%s", n, got.String())
		}
	}
}

// value is encoded by a function.
type value struct{ encode func() ([]byte, error) }

func (v *value) MarshalJSON() ([]byte, error) { return v.encode() }

func TestLinesEndAtTheFirstThatCannotBeEncoded(t *testing.T) {
	bad := errors.New("no JSON")
	values := make([]value, 10_000)
	for i := range values {
		values[i].encode = func() ([]byte, error) { return []byte("1"), nil }
	}
	values[1000].encode = func() ([]byte, error) { return nil, bad }
	var got strings.Builder
	var failed error
	for lines, err := range api.Lines(values) {
		got.Write(lines)
		failed = err
	}
	if !errors.Is(failed, bad) || got.Len() == 0 || got.Len() > len("1\n")*1000 {
		t.Errorf("got %d bytes and then %v", got.Len(), failed)
	}
}

func TestLinesThatNobodyWantsAnyMore(t *testing.T) {
	const all = 100_000
	var running, done atomic.Int64
	values := make([]value, all)
	for i := range values {
		values[i].encode = func() ([]byte, error) {
			running.Add(1)
			defer running.Add(-1)
			done.Add(1)
			return []byte("1"), nil
		}
	}
	for range api.Lines(values) {
		break
	}
	if n := running.Load(); n != 0 {
		t.Errorf("%d values are still being encoded", n)
	}
	if n := done.Load(); n > all/10 {
		t.Errorf("%d values were encoded ahead", n)
	}
}

// listOf serves these dots.
func listOf(dots []dotmesh.DotStatus) *gate {
	return &gate{stub{dots: func(context.Context) ([]dotmesh.DotStatus, error) { return dots, nil }}}
}

func TestListIsWhatTheNodeSaid(t *testing.T) {
	for _, n := range []int{0, 1, 1000} {
		want := someDots(n)
		unix, tcp := serve(t, listOf(want))
		for _, remote := range []api.Remote{{URL: unix}, {URL: tcp, User: "admin", Key: "key"}} {
			got, err := connect(t, remote).Dots(t.Context())
			if err != nil || len(got) != n {
				t.Fatalf("got %d dots and %v, want %d", len(got), err, n)
			}
			for i := range got {
				if got[i].ID != want[i].ID || got[i].Branch.Pointer != want[i].Branch.Pointer {
					t.Fatalf("dot %d: got %+v, want %+v", i, got[i], want[i])
				}
			}
		}
	}
}

// A caller who takes the first bytes of a long list and goes away leaves nothing behind:
// the server ends, and goleak looks after TestMain that no goroutine is left.
func TestCallerOfAListWhoGoesAway(t *testing.T) {
	unix, stop, ended := stoppable(t, &api.Server{Gate: listOf(someDots(20_000))})
	transport := localTransport(unix)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/dots", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	transport.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestListThatIsNotToBeHad(t *testing.T) {
	unix, _ := serve(t, &gate{stub{dots: func(context.Context) ([]dotmesh.DotStatus, error) {
		return nil, dotmesh.E("stub", dotmesh.Busy, "not now")
	}}})
	if _, err := connect(t, api.Remote{URL: unix}).Dots(t.Context()); !errors.Is(err, dotmesh.Busy) {
		t.Errorf("got %v", err)
	}
}
