package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// What the panes show beyond a list of dots is read when the cursor rests on it.

const (
	pageSize   = 200         // commits that are asked for at once
	pageAhead  = 50          // and this long before the cursor needs them
	mostAtOnce = 1000        // commits or operations that a server hands out
	lookEvery  = time.Second // a dot that changes all the time is read anew this often
	diffRest   = 150 * time.Millisecond
	maxFiles   = 1000 // of a diff that is shown by the way
)

// knownDot is a dot's branches, and how often the dot had changed when they were read.
type knownDot struct {
	as      uint64
	at      time.Time // when they were
	read    bool
	detail  dotmesh.DotDetail
	reading bool
}

// history is the part of a branch's commits that has been read, newest first.
type history struct {
	branch  dotmesh.BranchID
	as      dotmesh.Pointer // the branch's when its newest commits were read
	commits []dotmesh.Commit
	more    bool
	reading bool
	failed  bool // the page before could not be read; it is tried again when somebody asks
}

// diffstat is what a commit changed.
type diffstat struct {
	commit dotmesh.CommitID
	files  []dotmesh.FileChange
	more   bool
	err    error
	ready  bool
}

// readDot reads the branches of the dot under the cursor, unless they are known as it is now.
func (b *browse) readDot() tea.Cmd {
	d := b.dot()
	if d == nil {
		return nil
	}
	k := b.known[d.ID]
	if k == nil {
		if len(b.known) > 100 {
			clear(b.known)
		}
		k = &knownDot{}
		b.known[d.ID] = k
	}
	if k.reading || k.read && k.as == b.u.feed.Changes(d.ID) {
		return nil
	}
	k.reading = true
	rest := restTime
	if k.read { // it is changing under the cursor
		rest = max(rest, lookEvery-b.u.o.Now().Sub(k.at))
	}
	wanted := func() bool {
		now := b.dot()
		k.reading = now != nil && now.ID == d.ID
		return k.reading
	}
	return b.u.atRest(rest, wanted, func() tea.Cmd { return b.fetchDot(k, d.ID, d.Name) })
}

func (b *browse) fetchDot(k *knownDot, id dotmesh.DotID, name dotmesh.DotName) tea.Cmd {
	changes := b.u.feed.Changes(id)
	return fetch(b.u, func(ctx context.Context, s dotmesh.Service) (dotmesh.DotDetail, error) {
		return s.Dot(ctx, name)
	}, func(u *ui, detail dotmesh.DotDetail, err error) tea.Cmd {
		k.reading, k.read, k.as, k.at = false, true, changes, u.o.Now()
		switch {
		case err == nil && detail.ID == id: // another one has the name by now, and the picture will say so
			cleanDetail(&detail)
			k.detail = detail
		case err != nil && dotmesh.KindOf(err) != dotmesh.NotFound: // it is gone, and …
			u.unread("show "+name.String(), err)
		}
		return b.moved()
	})
}

// readLog reads the newest commits of the branch under the cursor.
func (b *browse) readLog() tea.Cmd {
	d, at := b.dot(), b.branchAt()
	if at == nil || at.Dot != d.ID {
		return nil
	}
	if b.log.branch == at.ID && (b.log.as == at.Pointer || b.log.reading) {
		return nil
	}
	if b.log.branch != at.ID {
		b.log = &history{branch: at.ID}
	}
	limit := min(max(pageSize, len(b.log.commits)), mostAtOnce) // as far as one has looked, or the cursor would jump
	return b.readPage(dotmesh.LogRequest{Dot: d.Name, Branch: at.Name, Limit: limit}, at.Pointer)
}

// readOlder reads the next page before the cursor comes to the end of the last one.
func (b *browse) readOlder() tea.Cmd {
	d, at := b.dot(), b.branchAt()
	n := len(b.log.commits)
	if at == nil || at.ID != b.log.branch || !b.log.more || b.log.reading || b.log.failed || b.commits.Index() < n-pageAhead {
		return nil
	}
	return b.readPage(dotmesh.LogRequest{Dot: d.Name, Branch: at.Name, Limit: pageSize, Before: b.log.commits[n-1].ID}, b.log.as)
}

// readPage reads a page of the log for a branch whose pointer is as. An answer for a list
// that is not shown any more is for nobody.
func (b *browse) readPage(r dotmesh.LogRequest, as dotmesh.Pointer) tea.Cmd {
	log := b.log
	log.reading = true
	read := func(ctx context.Context, s dotmesh.Service) (dotmesh.LogPage, error) { return s.Log(ctx, r) }
	got := func(u *ui, page dotmesh.LogPage, err error) tea.Cmd {
		log.reading, log.failed, log.as = false, err != nil, as
		switch {
		case log != b.log, r.Before.IsZero() && dotmesh.KindOf(err) == dotmesh.NotFound: // it is gone, and the picture will say so
			return nil
		case err != nil:
			u.unread("log of "+r.Dot.String(), err)
			return nil
		}
		for i := range page.Commits {
			cleanCommit(&page.Commits[i])
		}
		if r.Before.IsZero() {
			log.commits = nil
		}
		log.commits, log.more = append(log.commits, page.Commits...), page.More
		return b.moved()
	}
	return b.u.atRest(restTime, func() bool { return log == b.log }, func() tea.Cmd { return fetch(b.u, read, got) })
}

// readDiff reads what the commit under the cursor changed, once the cursor rests.
func (b *browse) readDiff() tea.Cmd {
	d, c := b.dot(), b.commitAt()
	if d == nil || c == nil || b.diff.commit == c.ID {
		return nil
	}
	diff := &diffstat{commit: c.ID}
	b.diff = diff
	if c.Parent.IsZero() {
		diff.ready = true
		return nil
	}
	request := dotmesh.DiffRequest{Dot: d.Name, From: c.Parent.String(), To: c.ID.String()}
	read := func(ctx context.Context, s dotmesh.Service) (diffstat, error) {
		return readFiles(ctx, s, request, maxFiles), nil
	}
	got := func(_ *ui, read diffstat, _ error) tea.Cmd {
		read.commit, read.ready = diff.commit, true
		*diff = read
		return nil
	}
	return b.u.atRest(diffRest, func() bool { return diff == b.diff }, func() tea.Cmd { return fetch(b.u, read, got) })
}

// readFiles reads at most limit files of a diff.
func readFiles(ctx context.Context, s dotmesh.Service, r dotmesh.DiffRequest, limit int) (read diffstat) {
	for change, err := range s.Diff(ctx, r) {
		if err != nil {
			read.err = err
			return read
		}
		if len(read.files) == limit {
			read.more = true
			return read
		}
		read.files = append(read.files, change)
	}
	return read
}

// cleanDetail makes what others wrote harmless. Names follow the grammar already.
func cleanDetail(d *dotmesh.DotDetail) {
	d.OwnerName = termsafe.Brief(d.OwnerName)
	for i := range d.All {
		b := &d.All[i]
		cleanWord(&b.Pointer.State.Phase)
		if b.Stash != nil {
			cleanWord(&b.Stash.Reason)
		}
		for k := range b.Containers {
			b.Containers[k].Name = termsafe.Brief(b.Containers[k].Name)
		}
	}
}

// cleanWord is for a word of which there are a few, from a server that may know others.
func cleanWord[T ~string](w *T) { *w = T(termsafe.Brief(string(*w))) }

func cleanCommit(c *dotmesh.Commit) {
	cleanWord(&c.Kind)
	c.Author, c.Message = termsafe.Brief(c.Author), termsafe.BriefText(c.Message)
	for k, v := range c.Metadata {
		delete(c.Metadata, k)
		c.Metadata[termsafe.Brief(k)] = termsafe.Brief(v)
	}
}
