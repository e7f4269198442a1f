package tui

import (
	"bytes"
	"context"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/aymanbagabas/go-udiff"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// describe implements screen: what a dot is, what is in no commit of a branch, what a
// commit changed.
func (b *browse) describe() tea.Cmd {
	d, at := b.dot(), b.branchAt()
	switch {
	case d == nil:
		return b.u.nothing("a dot")
	case b.focus == paneDots:
		return b.u.ask(&sheet{heading: d.Name.String(), text: append(b.aboutDot(), b.allBranches()...)})
	case at == nil:
		return b.u.nothing("a branch")
	case b.focus == paneBranches:
		return b.showDiff(dotmesh.DiffRequest{Dot: d.Name, Branch: at.Name}, string(at.Name)+": what is in no commit")
	}
	marked := b.commits.Marked()
	c := b.commitAt()
	switch {
	case len(marked) == 2: // newest first
		return b.showDiff(dotmesh.DiffRequest{Dot: d.Name, Branch: at.Name, From: marked[1].String(), To: marked[0].String()}, short(marked[1])+" to "+short(marked[0]))
	case c == nil:
		return b.showDiff(dotmesh.DiffRequest{Dot: d.Name, Branch: at.Name}, string(at.Name)+": what is in no commit")
	case c.Parent.IsZero():
		return b.u.say("the dot begins with this commit; there is nothing before it")
	}
	return b.showDiff(dotmesh.DiffRequest{Dot: d.Name, Branch: at.Name, From: c.Parent.String(), To: c.ID.String()}, short(c.ID)+" "+firstLine(c.Message))
}

// allBranches describes every branch of a dot.
func (b *browse) allBranches() (text []string) {
	detail := b.detail()
	if detail == nil {
		return nil
	}
	for i := range detail.All {
		text = append(append(text, ""), b.aboutBranch(&detail.All[i])...)
	}
	return text
}

// showDiff opens the files that differ between two states; enter shows what differs within.
func (b *browse) showDiff(r dotmesh.DiffRequest, heading string) tea.Cmd {
	const most = 10_000
	s := &sheet{heading: heading, loading: true}
	read := fetch(b.u, func(ctx context.Context, sv dotmesh.Service) (diffstat, error) {
		return readFiles(ctx, sv, r, most), nil
	}, func(u *ui, d diffstat, _ error) tea.Cmd {
		s.loading = false
		s.text = u.diffstatLines(d, false)
		if d.err != nil {
			u.fault("diff of "+r.Dot.String(), d.err)
			return nil
		}
		s.openers = make([]func(*ui) tea.Cmd, len(s.text))
		for i := range d.files {
			f := d.files[i]
			s.openers[i+1] = func(u *ui) tea.Cmd { return u.showFile(r, f) }
		}
		return nil
	})
	return tea.Batch(b.u.ask(s), read)
}

// fileLimit is how much of a file is compared by its lines.
const fileLimit = 256 << 10

// twoFiles is a file in two states.
type twoFiles struct{ before, after dotmesh.FilePart }

// showFile opens what differs within one file.
func (u *ui) showFile(r dotmesh.DiffRequest, f dotmesh.FileChange) tea.Cmd {
	if r.To == "" && f.Kind != dotmesh.Removed {
		return u.say("its content is in no commit yet; commit it, and it can be compared")
	}
	s := &sheet{heading: termsafe.Brief(f.Path), loading: true}
	read := fetch(u, func(ctx context.Context, sv dotmesh.Service) (two twoFiles, err error) {
		if f.Kind != dotmesh.Added {
			two.before, err = readFile(ctx, sv, r, r.From, f.Path)
		}
		if err == nil && f.Kind != dotmesh.Removed {
			two.after, err = readFile(ctx, sv, r, r.To, f.Path)
		}
		return two, err
	}, func(u *ui, two twoFiles, err error) tea.Cmd {
		s.loading = false
		if err != nil {
			s.text = wrap(termsafe.Brief(errorText(err)), u.width-8)
			u.fault("read "+termsafe.Brief(f.Path), err)
			return nil
		}
		s.text = u.fileDiff(two)
		return nil
	})
	return tea.Batch(u.ask(s), read)
}

func readFile(ctx context.Context, s dotmesh.Service, r dotmesh.DiffRequest, ref, path string) (dotmesh.FilePart, error) {
	return s.ReadFile(ctx, dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: r.Dot, Branch: r.Branch, Ref: ref}, Path: path, Limit: fileLimit})
}

// fileDiff compares two states of a file by its lines, if it is text.
func (u *ui) fileDiff(two twoFiles) []string {
	switch {
	case !isText(two.before.Data) || !isText(two.after.Data):
		return []string{"not text: " + size(two.before.Size) + " before, " + size(two.after.Size) + " after"}
	case two.before.Size > fileLimit || two.after.Size > fileLimit:
		return []string{"too long to be compared here: " + size(two.before.Size) + " before, " + size(two.after.Size) + " after"}
	}
	diff := udiff.Unified("before", "after", string(two.before.Data), string(two.after.Data))
	if diff == "" {
		return []string{"the content is the same"}
	}
	var lines []string
	for i, line := range strings.Split(strings.TrimRight(diff, "\n"), "\n") {
		if i < 2 {
			continue // the names of the states
		}
		safe := termsafe.Brief(strings.ReplaceAll(line, "\t", "    "))
		switch line[:min(len(line), 1)] {
		case "+":
			safe = u.look.added.Render(safe)
		case "-":
			safe = u.look.removed.Render(safe)
		case "@":
			safe = u.look.dim.Render(safe)
		}
		lines = append(lines, safe)
	}
	return lines
}

// isText reports whether data look like text: a part of a file may end within a letter.
func isText(data []byte) bool {
	if bytes.IndexByte(data, 0) >= 0 {
		return false
	}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 && len(data) >= utf8.UTFMax {
			return false
		}
		data = data[size:]
	}
	return true
}
