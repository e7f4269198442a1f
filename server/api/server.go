package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"dotmesh.io/dotmesh"
	"github.com/gorilla/rpc/v2"
	"golang.org/x/sync/errgroup"
)

// How long things may take. A slow or silent peer must not hold on to anything.
const (
	headerTimeout = 5 * time.Second  // to send a request's header
	idleTimeout   = 30 * time.Second // between two requests on a connection
	callTimeout   = 5 * time.Minute  // for a call to be answered; a stream may last
	lineTimeout   = 30 * time.Second // for a line of a stream to be taken
	readyTimeout  = 10 * time.Second // for the node to be ready when the server has just started
	stopTimeout   = 10 * time.Second // for calls to end when the server stops
	heartbeat     = 10 * time.Second // of a stream that has nothing to say
)

// How much a request may hold, in bytes.
const (
	maxHeader    = 64 << 10
	maxBody      = 1 << 20
	maxAdminBody = 256 << 20 // an administrator may send back a whole registry
)

// Server answers at its doors for as long as [Server.Serve] runs. Its fields are set
// before that and not changed after.
type Server struct {
	Gate    dotmesh.Gate
	Log     *slog.Logger    // audit lines and failures; nil: none
	Ready   <-chan struct{} // calls wait until it is closed, and some seconds at most; nil: they do not
	Hosts   []string        // names in a Host header besides loopback names and IP literals
	Metrics http.Handler    // answers GET /metrics; nil: nothing does
	Debug   http.Handler    // answers /debug/pprof/ at the local door only; nil: nothing does

	// Observe is told of each call that ended: its method or path, the kind of its error
	// and how long it took. It is called from many goroutines; nil: nobody is told.
	Observe func(method string, kind dotmesh.Kind, took time.Duration)

	bodyTimeout time.Duration // to send a request's body; 0: 30 s
}

// Serve answers at doors until ctx ends. Then no new calls are taken, streams end, and
// calls that run have ten seconds to end. It closes the doors in any case. Nil means that
// it was stopped by ctx.
func (s *Server) Serve(ctx context.Context, doors ...Door) error {
	h := newHandler(ctx, s)
	group, ctx := errgroup.WithContext(ctx)
	for _, door := range doors {
		group.Go(func() error { return h.serve(ctx, door) })
	}
	return group.Wait()
}

// handler is a server that runs: what its doors have in common.
type handler struct {
	Server
	stopping <-chan struct{} // closed when streams are to end
	rpc      *rpc.Server
	turns    *turns
	failures *failures
}

func newHandler(ctx context.Context, s *Server) *handler {
	h := &handler{Server: *s, stopping: ctx.Done(), turns: newTurns(), failures: newFailures()}
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	if h.bodyTimeout == 0 {
		h.bodyTimeout = 30 * time.Second
	}
	if h.Observe == nil {
		h.Observe = func(string, dotmesh.Kind, time.Duration) {}
	}
	h.rpc = newRPC()
	h.rpc.RegisterAfterFunc(h.audit)
	return h
}

// newRPC knows the methods and no server.
func newRPC() *rpc.Server {
	server := rpc.NewServer()
	server.RegisterCodec(codec{server.HasMethod}, "application/json")
	for prefix, receiver := range map[string]any{"Dotmesh": methods{}, "DotmeshRPC": legacy{}} {
		if err := server.RegisterService(receiver, prefix); err != nil {
			panic("api: " + err.Error()) // a receiver without methods: the program itself is wrong
		}
	}
	return server
}

// serve answers at one door until ctx ends.
func (h *handler) serve(ctx context.Context, door Door) error {
	server := &http.Server{
		Handler:           h.routes(door),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(h.Log.Handler(), slog.LevelWarn), // panics of handlers come here
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ConnContext:       door.identify,
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		stopped <- errors.Join(server.Shutdown(grace), server.Close())
	})
	err := server.Serve(door)
	if stop() { // ctx still lives: the listener broke
		return errors.Join(dotmesh.Wrap("api.Serve", err), server.Close())
	}
	if err := <-stopped; errors.Is(err, context.DeadlineExceeded) {
		h.Log.Warn("calls were cut off at the end", "door", door.String())
	}
	return nil
}

// routes are what is served at a door.
func (h *handler) routes(door Door) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /check", h.check)
	mux.Handle("/rpc", h.call(door, h.rpc))
	mux.Handle("GET /events", h.stream(door, streamEvents))
	mux.Handle("GET /dots", h.stream(door, streamDots()))
	mux.Handle("POST /diff", h.stream(door, streamDiff))
	mux.Handle("POST /checks", h.stream(door, streamChecks))
	mux.Handle("GET /export", h.stream(door, streamEntries()))
	mux.Handle("GET /diff/{dot}", h.call(door, http.HandlerFunc(legacyDiff)))
	mux.Handle("GET /diff/{dot}/{snapshot}", h.call(door, http.HandlerFunc(legacyDiff)))
	if h.Metrics != nil {
		mux.Handle("GET /metrics", h.call(door, h.Metrics))
	}
	if h.Debug != nil && door.local {
		mux.Handle("GET /debug/pprof/", h.Debug)
	}
	return h.guard(door, mux)
}

// check says whether calls can be answered.
func (h *handler) check(w http.ResponseWriter, _ *http.Request) {
	if !h.ready() {
		refuse(w, errStarting(), false)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("OK\n")) // who asked is gone: nobody is left to tell
}

func errStarting() error {
	return dotmesh.E("api.ready", dotmesh.Unreachable, "the server is starting: it waits for its registry; try again in some seconds, and look into its log if that does not help")
}

func (h *handler) ready() bool {
	select {
	case <-h.Ready:
		return true
	default:
		return h.Ready == nil
	}
}

// awaitReady returns when calls can be answered.
func (h *handler) awaitReady(ctx context.Context) error {
	if h.ready() {
		return nil
	}
	patience := time.NewTimer(readyTimeout)
	defer patience.Stop()
	select {
	case <-h.Ready:
		return nil
	case <-patience.C:
		return errStarting()
	case <-h.stopping:
		return errStarting()
	case <-ctx.Done():
		return dotmesh.Wrap("api.ready", ctx.Err())
	}
}
