package api

import (
	"context"
	"errors"
	"hash/maphash"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
	"golang.org/x/time/rate"
)

// guard lets through what may come in by a door, before anybody is asked who they are. A
// web page that talks to localhost, or that made a name of its own point there, is kept
// out by its Origin, its Host or its content type.
func (h *handler) guard(door Door, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if err := h.setDeadlines(w, r); err != nil {
			refuse(w, dotmesh.Wrap("api.guard", err), false)
			return
		}
		if err := h.acceptable(door, r); err != nil {
			refuse(w, err, false)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// setDeadlines gives a request's sender so long to send the body and to take the answer.
// net/http ends the first deadline with the body; where there is none, it would end the
// call, whose sender may be silent for as long as it takes.
func (h *handler) setDeadlines(w http.ResponseWriter, r *http.Request) error {
	control := http.NewResponseController(w)
	err := control.SetWriteDeadline(time.Now().Add(callTimeout + lineTimeout))
	if r.Body != http.NoBody {
		err = errors.Join(err, control.SetReadDeadline(time.Now().Add(h.bodyTimeout)))
	}
	return err
}

// acceptable says what is wrong with a request's header, if anything is.
func (h *handler) acceptable(door Door, r *http.Request) error {
	const op = "api.guard"
	switch {
	case r.Header.Get("Origin") != "":
		return dotmesh.E(op, dotmesh.Denied, "requests from web pages are not taken")
	case !door.local && !h.hostKnown(r.Host):
		return dotmesh.E(op, dotmesh.Denied, "this server is not called %q; use localhost or an IP address", clip(r.Host))
	case r.Method == http.MethodPost && !isJSON(r.Header.Get("Content-Type")):
		return dotmesh.E(op, dotmesh.Invalid, "the Content-Type must be application/json")
	case r.Header.Get("Content-Encoding") != "":
		return dotmesh.E(op, dotmesh.Unsupported, "compressed requests are not taken")
	}
	return nil
}

// hostKnown reports whether a Host header names this server: an IP literal, which no
// stranger's DNS can forge, a loopback name or one of its own.
func (h *handler) hostKnown(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(h.Hosts, host)
}

func isJSON(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	charset := strings.ToLower(params["charset"])
	return err == nil && media == "application/json" && (charset == "" || charset == "utf-8")
}

// A call is a request whose caller is known.
type call struct {
	principal dotmesh.Principal
	presented dotmesh.Secret // the key or password that it came with
	service   dotmesh.Service
	began     time.Time
}

type callKey struct{}

// callOf returns the call that a request belongs to. The zero call may do nothing.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

func serviceOf(r *http.Request) dotmesh.Service { return callOf(r.Context()).service }

// call answers requests whose caller is known and whose turn it is, within callTimeout.
func (h *handler) call(door Door, next http.Handler) http.Handler {
	return h.admit(door, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		done, err := h.turns.wait(ctx, callOf(ctx).principal)
		if err != nil {
			refuse(w, err, false)
			return
		}
		defer done()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// admit finds out who a caller is.
func (h *handler) admit(door Door, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		if err := h.awaitReady(r.Context()); err != nil {
			refuse(w, err, false)
			return
		}
		principal, secret, err := h.identify(door, r)
		if err != nil {
			h.Log.Info("login refused", "origin", origin(r), "kind", dotmesh.KindOf(err))
			refuse(w, err, false)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyLimit(principal))
		c := &call{principal: principal, presented: secret, service: h.Gate.As(principal), began: began}
		next(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	})
}

func bodyLimit(p dotmesh.Principal) int64 {
	if p.Admin {
		return maxAdminBody
	}
	return maxBody
}

// identify returns who a request is from. A user name and key count at every door; at the
// local one a caller without them is the administrator.
func (h *handler) identify(door Door, r *http.Request) (dotmesh.Principal, dotmesh.Secret, error) {
	name, secret, ok := r.BasicAuth()
	if !ok && door.local {
		p, err := localPrincipal(r.Context())
		return p, "", err
	}
	refused := dotmesh.E("api.login", dotmesh.Unauthenticated, "the user name, key or password is not right")
	user, err := dotmesh.ParseName(name)
	if !ok || err != nil {
		return dotmesh.Principal{}, "", refused
	}
	p, err := h.login(r, user, dotmesh.Secret(secret))
	if errors.Is(err, dotmesh.Unauthenticated) {
		err = refused // whatever was wrong, a stranger learns nothing from it
	}
	p.Origin = origin(r)
	return p, dotmesh.Secret(secret), err
}

// login asks the gate, unless this address has been wrong about this user too often.
func (h *handler) login(r *http.Request, user dotmesh.Name, secret dotmesh.Secret) (dotmesh.Principal, error) {
	recent := h.failures.of(address(r), user)
	if recent.Tokens() < 1 {
		return dotmesh.Principal{}, dotmesh.E("api.login", dotmesh.TooMany, "too many wrong logins; wait some seconds and try again")
	}
	p, err := h.Gate.Authenticate(r.Context(), user, secret)
	if errors.Is(err, dotmesh.Unauthenticated) {
		recent.Allow() // takes a token; whether one was left is asked next time
	}
	return p, err
}

// origin is where a request comes from, for the audit log.
func origin(r *http.Request) string {
	if p, err := localPrincipal(r.Context()); err == nil {
		return p.Origin
	}
	return r.RemoteAddr
}

func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a unix socket's
	}
	return host
}

// failures count wrong logins. Addresses and users share a fixed number of counters, so
// that no number of them takes memory or makes the server forget one.
type failures struct {
	seed   maphash.Seed
	recent [1024]*rate.Limiter
}

func newFailures() *failures {
	f := &failures{seed: maphash.MakeSeed()}
	for i := range f.recent {
		f.recent[i] = rate.NewLimiter(rate.Every(time.Second), 20)
	}
	return f
}

// of returns how many more wrong logins an address may try as a user.
func (f *failures) of(address string, user dotmesh.Name) *rate.Limiter {
	return f.recent[maphash.String(f.seed, address+" "+string(user))%uint64(len(f.recent))]
}

// How much one caller may have going on at once.
const (
	maxRunning = 4
	maxQueued  = 64
)

// turns let each caller have so many calls at once and others wait. A caller is a user,
// or a process at the local door: one that hangs does not keep the next from looking.
type turns struct {
	mu      sync.Mutex
	callers map[string]*turn // guarded by mu; those that have calls now
}

type turn struct {
	calls   int // running and waiting, guarded by turns.mu
	running chan struct{}
}

func newTurns() *turns { return &turns{callers: map[string]*turn{}} }

// wait returns when it is p's turn. The caller calls done when it has been used.
func (t *turns) wait(ctx context.Context, p dotmesh.Principal) (done func(), err error) {
	who := p.User.String()
	if strings.HasPrefix(p.Origin, "unix:") {
		who += p.Origin
	}
	mine, err := t.join(who)
	if err != nil {
		return nil, err
	}
	select {
	case mine.running <- struct{}{}:
		return func() { <-mine.running; t.leave(who) }, nil
	case <-ctx.Done():
		t.leave(who)
		return nil, dotmesh.Wrap("api.wait", ctx.Err())
	}
}

func (t *turns) join(who string) (*turn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := t.callers[who]
	if mine == nil {
		mine = &turn{running: make(chan struct{}, maxRunning)}
		t.callers[who] = mine
	}
	if mine.calls == maxRunning+maxQueued {
		return nil, dotmesh.E("api.wait", dotmesh.TooMany, "you have %d calls waiting for an answer; wait for some of them", mine.calls)
	}
	mine.calls++
	return mine, nil
}

func (t *turns) leave(who string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers[who].calls--; t.callers[who].calls == 0 {
		delete(t.callers, who)
	}
}
