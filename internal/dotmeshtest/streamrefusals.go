package dotmeshtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// refusalTests are about streams that are not taken, or not given.
func refusalTests() []streamTest {
	return []streamTest{
		{"what is not here, or does not follow, is not sent", nil, streamTestNotSent},
		{"a commit that does not go on from the newest one is refused", nil, streamTestWrongBase},
		{"a head with changes is never received over", nil, streamTestDirtyHead},
		{"a head that is mounted is never received over", mountable, streamTestMountedHead},
		{"an id that is there with other content is refused", nil, streamTestOtherContent},
		{"a stream of something else is refused", nil, streamTestSomethingElse},
		{"a caller who does not accept a commit gets none", nil, streamTestAccept},
		{"a stranger sends files, directories and links only", nil, streamTestStranger},
		{"what is being sent is not destroyed", nil, streamTestSentBusy},
		{"a line that is received into is nobody else's", nil, streamTestReceivedBusy},
		{"a closed store breaks streams off", nil, streamTestStreamsClosed},
	}
}

// ones is what the file "a" holds in the first of two commits.
var ones = strings.Repeat("one", 1<<17)

// twoCommits makes a line with two commits.
func twoCommits(h *streamHarness) (first, second dotmesh.Ref) {
	h.Helper()
	line := h.fork(dotmesh.Origin{})
	h.write(line, "a", ones)
	first = h.snap(line)
	h.write(line, "a", strings.Repeat("two", 1<<17))
	return first, h.snap(line)
}

func streamTestNotSent(h *streamHarness) {
	first, second := twoCommits(h)
	line, none := first.Line, newCommit()
	other := h.fork(dotmesh.Origin{})
	foreign := h.snap(other)
	child := h.fork(dotmesh.Origin(first))
	own := h.snap(child)
	for name, test := range map[string]struct {
		spec dotmesh.SendSpec
		want dotmesh.Kind
	}{
		"no commits":                 {dotmesh.SendSpec{Line: line}, dotmesh.Invalid},
		"no such line":               {dotmesh.SendSpec{Line: newLine(), Commits: []dotmesh.CommitID{none}}, dotmesh.NotFound},
		"no such commit":             {dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{first.Commit, none}}, dotmesh.NotFound},
		"the head":                   {dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{{}}}, dotmesh.NotFound},
		"no such base":               {sending(dotmesh.Ref{Line: line, Commit: none}, first), dotmesh.NotFound},
		"backwards":                  {sending(second, first), dotmesh.Invalid},
		"backwards in the stream":    {sending(dotmesh.Ref{}, second, first), dotmesh.Invalid},
		"twice":                      {sending(dotmesh.Ref{}, first, first), dotmesh.Invalid},
		"after itself":               {sending(first, first), dotmesh.Invalid},
		"after another line's":       {sending(foreign, first), dotmesh.Invalid},
		"after one not forked from":  {sending(second, own), dotmesh.Invalid},
		"a note that is nonsense":    {dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{first.Commit}, Resume: []byte("{")}, dotmesh.Conflict},
		"a note that is empty":       {dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{first.Commit}, Resume: []byte{}}, dotmesh.Conflict},
		"a note that is far too big": {dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{first.Commit}, Resume: make([]byte, 1<<20)}, dotmesh.Conflict},
	} {
		stream, err := h.Send(h.Context(), test.spec)
		if !errors.Is(err, test.want) || dotmesh.Text(err) == "" || stream != nil {
			h.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	ctx, cancel := context.WithCancel(h.Context())
	cancel()
	_, err := h.Send(ctx, sending(dotmesh.Ref{}, first))
	h.wantKind(err, dotmesh.Canceled)
	h.must(h.Drop(h.Context(), line, []dotmesh.CommitID{second.Commit})) // nothing holds it
}

func streamTestWrongBase(h *streamHarness) {
	first, second := twoCommits(h)
	line := first.Line
	third := h.snap(line)
	b := h.another()
	b.refuses(into(line), h.sent(sending(first, second)), dotmesh.Diverged) // there is nothing yet
	if len(b.inventory()) != 0 {
		h.Error("a refused stream has made a line")
	}
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, first)), first)
	b.refuses(into(line), h.sent(sending(second, third)), dotmesh.Diverged) // one is missing
	b.refuses(into(line), h.sent(sending(dotmesh.Ref{}, second)), dotmesh.Diverged)
	forged := edited(h, h.sent(sending(second, third)), func(f *frame.Header) { f.From = first })
	b.refuses(into(line), forged, dotmesh.Diverged) // the guid tells
	spec := into(line)
	spec.Origin = dotmesh.Origin(first)
	b.refuses(spec, h.sent(sending(first, second)), dotmesh.Exists)
	b.receive(into(line), h.sent(sending(first, second, third)), second, third)

	b.write(line, "a", "my own")
	mine := b.snap(line) // both have a newer commit than the third
	fourth := h.snap(line)
	b.must(b.DropHead(h.Context(), line))
	b.refuses(into(line), h.sent(sending(third, fourth)), dotmesh.Diverged)
	h.must(h.DropHead(h.Context(), line))
	h.refuses(into(line), b.sent(sending(third, mine)), dotmesh.Diverged)
}

func streamTestDirtyHead(h *streamHarness) {
	first, second := twoCommits(h)
	line := first.Line
	b := h.another()
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, first)), first)
	for name, change := range map[string]func(dir string) error{
		"a file":   func(dir string) error { return os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600) },
		"a mode":   func(dir string) error { return os.Chmod(filepath.Join(dir, "a"), 0o600) },
		"no file":  func(dir string) error { return os.Remove(filepath.Join(dir, "a")) },
		"the root": func(dir string) error { return os.Chmod(dir, 0o700) },
	} {
		dir, unmount := b.live(line)
		if err := change(dir); err != nil {
			h.Fatalf("%s: %v", name, err)
		}
		unmount()
		b.refuses(into(line), h.sent(sending(first, second)), dotmesh.Diverged)
		b.must(b.DropHead(h.Context(), line))
	}
	b.receive(into(line), h.sent(sending(first, second)), second)
	child := b.fork(dotmesh.Origin(first))
	b.write(child, "mine", "1")
	spec := into(child)
	spec.Origin = dotmesh.Origin(first)
	forked := edited(h, h.sent(sending(first, second)), func(f *frame.Header) { f.Line = child })
	b.refuses(spec, forked, dotmesh.Diverged)
}

func streamTestMountedHead(h *streamHarness) {
	first, second := twoCommits(h)
	line := first.Line
	b := h.another()
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, first)), first)
	dir, unmount := b.live(line)
	b.refuses(into(line), h.sent(sending(first, second)), dotmesh.Busy)
	h.must(os.WriteFile(filepath.Join(dir, "a"), []byte("written meanwhile"), 0o600))
	unmount()
	b.refuses(into(line), h.sent(sending(first, second)), dotmesh.Diverged)
	b.wantFile(headOf(line), "a", "written meanwhile")
}

func streamTestOtherContent(h *streamHarness) {
	first, second := twoCommits(h)
	line := first.Line
	b := h.another()
	b.must(b.Fork(h.Context(), line, dotmesh.Origin{}))
	b.write(line, "a", "something else")
	got := b.Snapshot(h.Context(), []dotmesh.SnapRequest{{Line: line, Commit: first.Commit, Meta: []byte(first.Commit.String())}})
	b.must(got[0].Err)
	b.refuses(into(line), h.sent(sending(dotmesh.Ref{}, first, second)), dotmesh.Exists)
	b.refuses(into(line), h.sent(sending(first, second)), dotmesh.Diverged)
	b.wantFile(first, "a", "something else")
}

func streamTestSomethingElse(h *streamHarness) {
	first, second := twoCommits(h)
	line := first.Line
	stream := h.sent(sending(dotmesh.Ref{}, first, second))
	b := h.another()
	b.refuses(into(newLine()), stream, dotmesh.Invalid)
	b.refuses(dotmesh.RecvSpec{}, stream, dotmesh.Invalid)
	b.refuses(into(line), edited(h, stream, func(f *frame.Header) { f.Format = "other-1" }), dotmesh.Invalid)
	b.refuses(into(line), edited(h, stream, func(f *frame.Header) { f.Meta = make([]byte, maxMeta+1) }), dotmesh.Invalid)
	b.refuses(into(line), nil, dotmesh.Unreachable)
	b.refuses(into(line), []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), dotmesh.Corrupt)
	var nothing bytes.Buffer
	h.must(frame.NewWriter(&nothing).Close())
	b.receive(into(line), nothing.Bytes())
	if len(b.inventory()) != 0 {
		h.Error("a line was made")
	}
}

func streamTestAccept(h *streamHarness) {
	first, second := twoCommits(h)
	b := h.another()
	no := dotmesh.E("", dotmesh.Denied, "not this one")
	spec := into(first.Line)
	spec.Accept = func(c dotmesh.CommitInfo) error {
		switch {
		case c.GUID != h.info(first).GUID && c.GUID != h.info(second).GUID:
			h.Errorf("asked for guid %s", c.GUID)
		case string(c.Meta) != c.ID.String():
			h.Errorf("asked for commit %s with meta %q", c.ID, c.Meta)
		case c.ID == second.Commit:
			return no
		}
		return nil
	}
	got, err := b.Receive(h.Context(), spec, bytes.NewReader(h.sent(sending(dotmesh.Ref{}, first, second))))
	if !errors.Is(err, no) {
		h.Errorf("err = %v, want that of Accept", err)
	}
	wantReceived(b, got, first)
	b.wantLines(map[dotmesh.LineID][]dotmesh.Ref{first.Line: {first}})
	b.refuses(spec, h.sent(sending(first, second)), dotmesh.Denied)
}

func streamTestStranger(h *streamHarness) {
	b := h.another()
	for name, test := range map[string]struct {
		make func(path string) error
		ok   bool
	}{
		"a file":   {func(path string) error { return os.WriteFile(path, []byte("x"), 0o755) }, true},
		"a link":   {func(path string) error { return os.Symlink("/etc/passwd", path) }, true},
		"a fifo":   {func(path string) error { return unix.Mkfifo(path, 0o600) }, true},
		"a socket": {func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) }, true},
		"a group's dir": {func(path string) error {
			return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o770|os.ModeSetgid))
		}, true},
		"a sticky dir": {func(path string) error {
			return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777|os.ModeSticky))
		}, true},
		"its attribute": {withXattr("user.x", []byte("1")), true},
		"an acl":        {withXattr("system.posix_acl_access", acl()), true},
		"setuid": {func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o755), os.Chmod(path, 0o755|os.ModeSetuid))
		}, false},
		"setgid": {func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o755), os.Chmod(path, 0o755|os.ModeSetgid))
		}, false},
		"a device":     {func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) }, false},
		"a disk":       {func(path string) error { return unix.Mknod(path, unix.S_IFBLK|0o666, int(unix.Mkdev(7, 200))) }, false},
		"a capability": {withXattr("security.capability", []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), false},
		"root's own":   {withXattr("trusted.x", []byte("1")), false},
	} {
		h.Run(name, func(t *testing.T) {
			h := h.in(t)
			line := h.fork(dotmesh.Origin{})
			dir, unmount := h.live(line)
			first := h.snap(line)
			h.must(test.make(filepath.Join(dir, "it")))
			second := h.snap(line)
			unmount()
			stream := h.sent(sending(dotmesh.Ref{}, first, second))
			b, spec := b.in(t), into(line)
			if spec.Trust = dotmesh.Stranger; test.ok {
				b.receive(spec, stream, first, second)
			} else {
				got, err := b.Receive(h.Context(), spec, bytes.NewReader(stream))
				h.wantKind(err, dotmesh.Invalid)
				wantReceived(b, got, first) // which is harmless
				spec.Trust = dotmesh.Member
				b.receive(spec, stream, second)
			}
			h.wantSame(b, first, second)
		})
	}
}

func withXattr(name string, value []byte) func(path string) error {
	return func(path string) error {
		return errors.Join(os.WriteFile(path, []byte("x"), 0o755), unix.Setxattr(path, name, value, 0))
	}
}

// in is the same store in a part of a test.
func (h *streamHarness) in(t *testing.T) *streamHarness {
	return &streamHarness{&storeHarness{T: t, Store: h.Store}, h.open}
}

func streamTestSentBusy(h *streamHarness) {
	first, second := twoCommits(h)
	line := first.Line
	third := h.snap(line)
	child := h.fork(dotmesh.Origin(second))
	own := h.snap(child)
	for name, test := range map[string]struct {
		spec dotmesh.SendSpec
		busy []dotmesh.Ref
	}{
		"whole":               {sending(dotmesh.Ref{}, first), []dotmesh.Ref{first}},
		"a difference":        {sending(first, third), []dotmesh.Ref{first, third}},
		"a forked line's own": {sending(second, own), []dotmesh.Ref{own}},
	} {
		ctx, cancel := context.WithCancel(h.Context())
		for _, end := range []func(io.Closer){func(c io.Closer) { h.must(c.Close()) }, func(io.Closer) { cancel() }} {
			stream, err := h.Send(ctx, test.spec)
			h.must(err)
			_, err = stream.Read(make([]byte, 10))
			h.must(err)
			for _, r := range test.busy {
				h.wantKind(h.Drop(h.Context(), r.Line, []dotmesh.CommitID{r.Commit}), dotmesh.Busy)
				h.wantKind(h.Destroy(h.Context(), r.Line), dotmesh.Busy)
			}
			end(stream)
			_, err = io.ReadAll(stream)
			if err == nil {
				h.Errorf("%s: a stream that was ended is whole", name)
			}
			h.must(stream.Close())
		}
	}
	h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {first, second, third}, child: {own}})
	h.must(h.Destroy(h.Context(), child))
	h.must(h.Destroy(h.Context(), line))
}

func streamTestReceivedBusy(h *streamHarness) {
	first, second := twoCommits(h)
	line, ctx := first.Line, h.Context()
	whole, next := chopped(h, h.sent(sending(dotmesh.Ref{}, first)), 1<<10), chopped(h, h.sent(sending(first, second)), 1<<10)
	b := h.another()

	half := b.receiveHalf(into(line), whole, len(whole)/2) // of a line that is not there yet
	if len(b.inventory()) != 0 {
		h.Error("a line is seen before it has a commit")
	}
	_, err := b.Receive(ctx, into(line), bytes.NewReader(whole))
	b.wantKind(err, dotmesh.Busy)
	b.wantKind(b.Fork(ctx, line, dotmesh.Origin{}), dotmesh.Busy)
	b.wantKind(b.Destroy(ctx, line), dotmesh.Busy)
	b.wantKind(b.AbortReceive(ctx, line), dotmesh.Busy)
	_, err = b.Live(ctx, line)
	b.wantKind(err, dotmesh.NotFound)
	b.wantKind(half.end().err, dotmesh.Unreachable)
	b.wantLines(nil)                            // now something has come of it for certain
	b.must(b.Fork(ctx, line, dotmesh.Origin{})) // what broke off does not stand in the way
	b.must(b.Destroy(ctx, line))
	b.receive(into(line), whole, first)

	half = b.receiveHalf(into(line), next, len(next)/2)
	b.wantKind(b.Destroy(ctx, line), dotmesh.Busy)
	b.wantKind(b.Drop(ctx, line, []dotmesh.CommitID{first.Commit}), dotmesh.Busy)
	_, err = b.Live(ctx, line) // the head that it would make could be written to
	b.wantKind(err, dotmesh.Busy)
	b.wantKind(b.Snapshot(ctx, []dotmesh.SnapRequest{{Line: line, Commit: newCommit()}})[0].Err, dotmesh.NotFound)
	b.wantFile(first, "a", ones)
	b.must(b.DropHead(ctx, line)) // there is none
	child := b.fork(dotmesh.Origin(first))
	b.must(b.Destroy(ctx, child))
	b.wantKind(half.end().err, dotmesh.Unreachable)
	for range 2 {
		b.must(b.AbortReceive(ctx, line))
	}
	b.must(b.AbortReceive(ctx, newLine()))
	b.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {first}})
	b.receive(into(line), next, second)
	b.must(b.Destroy(ctx, line))
	b.wantLines(nil)
}

func streamTestStreamsClosed(h *streamHarness) {
	first, second := twoCommits(h)
	stream, err := h.Send(h.Context(), sending(dotmesh.Ref{}, first, second))
	h.must(err)
	b := h.another()
	all := h.sent(sending(dotmesh.Ref{}, first, second))
	half := b.receiveHalf(into(first.Line), all, len(all)/3)
	b.must(b.Close())
	b.wantKind((<-half.done).err, dotmesh.Unreachable)
	h.must(half.w.Close())
	half.cancel()
	h.must(h.Close())
	_, err = io.ReadAll(stream)
	h.wantKind(err, dotmesh.Unreachable)
	h.must(stream.Close())
	_, err = h.Send(h.Context(), sending(dotmesh.Ref{}, first))
	h.wantKind(err, dotmesh.Unreachable)
	_, err = b.Receive(h.Context(), into(first.Line), bytes.NewReader(all))
	h.wantKind(err, dotmesh.Unreachable)
	h.wantKind(b.AbortReceive(h.Context(), first.Line), dotmesh.Unreachable)
}
