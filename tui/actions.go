package tui

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"dotmesh.io/dotmesh"
)

// nothing is said where a key has nothing to act on.
func (u *ui) nothing(what string) tea.Cmd { return u.say("put the cursor on " + what + " first") }

// named lists what is acted on, as much as people read.
func named[T fmt.Stringer](all []T) string {
	const most = 4
	var names []string
	for _, t := range all[:min(len(all), most)] {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ") + more(max(len(all)-most, 0))
}

// commit makes commits of what is marked or under the cursor.
func (u *ui) commit() tea.Cmd {
	all, hidden := u.browse.targets()
	if len(all) == 0 {
		return u.nothing("a dot")
	}
	f := &form{
		heading: "Commit " + named(all), do: "Commit", alike: len(all) - 1, gone: allThere(all...),
		about:  u.committed(all, hidden),
		fields: []*field{newField("message", "", nil), newField("metadata", "", checkMetadata)},
		command: func(v []string, i int) []string {
			args := append([]string{"commit"}, all[i].flags()...)
			args = append(args, "-m", v[0])
			pairs, _ := parseMetadata(v[1])
			for _, k := range slices.Sorted(maps.Keys(pairs)) { // else the line would flicker
				args = append(args, "--metadata", k+"="+pairs[k])
			}
			return args
		},
	}
	f.submit = func(v []string) tea.Cmd {
		metadata, _ := parseMetadata(v[1]) // it was judged
		return callEach(u, "commit", "committed", all, func(ctx context.Context, s dotmesh.Service, t target) error {
			_, err := s.Commit(ctx, dotmesh.CommitRequest{
				Dot: t.dot, Branch: t.branch, Message: v[0], Metadata: metadata, ID: dotmesh.CommitID{UUID: dotmesh.NewUUID()},
			})
			return err
		})
	}
	return u.openForm(f)
}

// committed says what a commit would hold, or which commits are made.
func (u *ui) committed(all []target, hidden int) []string {
	if len(all) > 1 || hidden > 0 {
		return append(listed(all, hidden), "A commit of each of "+plural(len(all), "branch", "branches")+".")
	}
	at := u.browse.branchAt()
	if at == nil || at.Dirty.AsOf.IsZero() {
		return []string{"Nobody has measured yet how much is in no commit."}
	}
	return []string{dirty(at.Dirty) + " in no commit, as of " + when(at.Dirty.AsOf, u.o.Now()) + "."}
}

// parseMetadata reads "key=value, key=value".
func parseMetadata(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for _, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		k, v, ok := strings.Cut(pair, "=")
		if k = strings.TrimSpace(k); !ok || k == "" {
			return nil, dotmesh.E("tui.metadata", dotmesh.Invalid, "write metadata as key=value, key=value")
		}
		pairs[k] = strings.TrimSpace(v)
	}
	return pairs, nil
}

func checkMetadata(text string) error {
	_, err := parseMetadata(text)
	return err
}

// initDot makes a dot.
func (u *ui) initDot() tea.Cmd {
	return u.openForm(&form{
		heading: "New dot", do: "Make it", about: []string{"A dot begins empty, with one branch and one commit."},
		fields:  []*field{newField("name", "", checkDotName)},
		command: func(v []string, _ int) []string { return []string{"init", v[0]} },
		submit: func(v []string) tea.Cmd {
			name, _ := dotmesh.ParseDotName(v[0]) // it was judged
			return u.makeDot("init "+v[0], func(ctx context.Context, s dotmesh.Service) (dotmesh.DotStatus, error) {
				return s.CreateDot(ctx, dotmesh.CreateDot{Dot: name, Request: dotmesh.NewUUID()})
			})
		},
	})
}

// makeDot makes a dot and puts the cursor on it.
func (u *ui) makeDot(what string, call func(context.Context, dotmesh.Service) (dotmesh.DotStatus, error)) tea.Cmd {
	return u.begin(what, func(ctx context.Context, s dotmesh.Service) done {
		made, err := call(ctx, s)
		if err != nil {
			return done{errs: []failed{{what, err}}}
		}
		return done{said: "made " + made.Name.String(), then: func(u *ui) { u.browse.expected = made.ID }}
	})
}

func checkDotName(s string) error {
	_, err := dotmesh.ParseDotName(s)
	return err
}

func checkName(s string) error {
	_, err := dotmesh.ParseName(s)
	return err
}

// branch makes a branch from the commit under the cursor, or from a branch's HEAD.
func (u *ui) branch() tea.Cmd {
	from, of, gone := u.chosen()
	if gone == nil {
		return u.nothing("a branch or commit")
	}
	return u.openForm(&form{
		heading: "New branch of " + from.Dot.String(), do: "Branch", about: []string{"From " + of + ". No bytes are copied."},
		fields: []*field{newField("name", "", checkName), newChoice("check it out", "no", "yes")},
		gone:   gone,
		command: func(v []string, _ int) []string {
			line := []string{"branch", v[0], cmp.Or(from.Ref, string(from.Branch)), "--dot", from.Dot.String()}
			if v[1] == "yes" {
				line = append([]string{"checkout", "-b"}, line[1:]...)
			}
			return line
		},
		submit: func(v []string) tea.Cmd {
			return u.call("branch "+v[0], func(ctx context.Context, s dotmesh.Service) (string, error) {
				from.Request = dotmesh.NewUUID()
				made, err := s.CreateBranch(ctx, dotmesh.CreateBranch{From: from, Name: dotmesh.Name(v[0])})
				if err != nil || v[1] == "no" {
					return "made branch " + v[0], err
				}
				_, err = s.Checkout(ctx, dotmesh.BranchRequest{Dot: from.Dot, Branch: made.Name, Request: dotmesh.NewUUID()})
				return "made branch " + v[0] + " and checked it out", err
			})
		},
	})
}

// forkDot makes a dot out of the commit under the cursor, or out of a branch's HEAD.
func (u *ui) forkDot() tea.Cmd {
	from, of, gone := u.chosen()
	if gone == nil {
		return u.nothing("a dot, branch or commit")
	}
	return u.openForm(&form{
		heading: "Fork " + from.Dot.String(), do: "Fork", gone: gone,
		about:  []string{"A dot of its own, from " + of + ".", "Data are copied: nothing that is done to either changes the other."},
		fields: []*field{newField("name", "", checkDotName)},
		command: func(v []string, _ int) []string {
			return []string{"dot", "fork", v[0], cmp.Or(from.Ref, string(from.Branch)), "--dot", from.Dot.String()}
		},
		submit: func(v []string) tea.Cmd {
			name, _ := dotmesh.ParseDotName(v[0]) // it was judged
			from.Request = dotmesh.NewUUID()
			return u.makeDot("fork "+from.Dot.String(), func(ctx context.Context, s dotmesh.Service) (dotmesh.DotStatus, error) {
				return s.ForkDot(ctx, dotmesh.ForkDot{From: from, Dot: name})
			})
		},
	})
}

// chosen is the commit under the cursor, or a branch's HEAD, and what it is in words. The
// last says why it is not there any more; it is nil if the cursor is on neither.
func (u *ui) chosen() (from dotmesh.CommitRef, of string, gone func(*ui) string) {
	d, at := u.browse.dot(), u.browse.branchAt()
	if d == nil || at == nil {
		return from, "", nil
	}
	from = dotmesh.CommitRef{Dot: d.Name, Branch: at.Name}
	of = "the newest commit of " + string(at.Name)
	if c := u.browse.commitAt(); c != nil && u.browse.focus == paneCommits {
		from.Ref = c.ID.String()
		of = short(c.ID) + ", " + u.subject(c.Message)
	}
	return from, of, allThere(targetOf(d, at))
}

// checkout makes the branch under the cursor the dot's current one.
func (u *ui) checkout() tea.Cmd {
	d, at := u.browse.dot(), u.browse.branchAt()
	if d == nil || at == nil {
		return u.nothing("a branch")
	}
	about := []string{"Volumes that follow " + d.Name.String() + " show " + string(at.Name) + " from then on."}
	if used := users(d.Branch.Containers); used != "" {
		about = append(about, "In use by "+used+".")
	}
	return u.openForm(&form{
		heading: "Check out " + string(at.Name), do: "Check out", about: about, gone: allThere(targetOf(d, at)),
		command: func([]string, int) []string { return []string{"checkout", string(at.Name), "--dot", d.Name.String()} },
		submit: func([]string) tea.Cmd {
			return u.call("checkout "+string(at.Name), func(ctx context.Context, s dotmesh.Service) (string, error) {
				_, err := s.Checkout(ctx, dotmesh.BranchRequest{Dot: d.Name, Branch: at.Name, Request: dotmesh.NewUUID()})
				return "checked out " + string(at.Name), err
			})
		},
	})
}

// reset goes back to the commit under the cursor.
func (u *ui) reset() tea.Cmd {
	d, at, c := u.browse.dot(), u.browse.branchAt(), u.browse.commitAt()
	if d == nil || at == nil || c == nil {
		return u.nothing("a commit")
	}
	if at.Stash != nil {
		return u.say("a stash stays as it is; b makes a branch from it")
	}
	about := []string{"Back to " + short(c.ID) + ", " + u.subject(c.Message) + "."}
	t := targetOf(d, at)
	about = append(about, u.dropped(at, c.ID)...)
	about = append(about, "A stash keeps all of it "+u.keptFor(t)+"; z brings it back.")
	return u.openForm(&form{
		heading: "Reset " + t.String(), do: "Reset", about: about, gone: allThere(t),
		command: func([]string, int) []string { return append([]string{"reset", c.ID.String()}, t.flags()...) },
		submit: func([]string) tea.Cmd {
			return u.call("reset "+t.String(), func(ctx context.Context, s dotmesh.Service) (string, error) {
				if err := t.check(ctx, s); err != nil {
					return "", err
				}
				changed, err := s.Reset(ctx, dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{
					Dot: t.dot, Branch: t.branch, Ref: c.ID.String(), Request: dotmesh.NewUUID(),
				}})
				return "reset " + t.String() + keptIn(changed), err
			})
		},
	})
}

// dropped says what a reset to a commit takes off a branch.
func (u *ui) dropped(at *dotmesh.BranchStatus, to dotmesh.CommitID) []string {
	var off []string
	for i := range u.browse.log.commits {
		c := &u.browse.log.commits[i]
		if c.ID == to {
			break
		}
		off = append(off, short(c.ID)+" "+u.subject(c.Message))
	}
	lines := []string{"Off the branch: " + plural(len(off), "commit", "commits") + ", and " + dirty(at.Dirty) + " in no commit."}
	for i, line := range off {
		if i == 5 {
			lines = append(lines, "  … and "+count(len(off)-5)+" more")
			break
		}
		lines = append(lines, "  "+line)
	}
	return lines
}

// keptFor says how long stashes of branches are kept.
func (u *ui) keptFor(all ...target) (kept string) {
	for _, t := range all {
		one := "for 30 days"
		if d := u.browse.byID[t.dotID]; d != nil && d.Expires > 0 {
			one = "for " + span(d.Expires)
		}
		if kept != "" && kept != one {
			return "as long as its dot's settings say"
		}
		kept = one
	}
	return kept
}

func keptIn(c dotmesh.Changed) string {
	if c.Stash == nil {
		return "; nothing was dropped"
	}
	return "; " + string(c.Stash.Name) + " keeps what was dropped, z undoes"
}

// discard drops what is in no commit, and shows first what that is: the files of one branch,
// the bytes of several.
func (u *ui) discard() tea.Cmd {
	all, hidden := u.browse.targets()
	if len(all) == 0 {
		return u.nothing("a dot or branch")
	}
	losses := make([]loss, len(all))
	for i, t := range all {
		losses[i] = loss{t, unknown}
		if at := u.browse.branch(t.dotID, t.branchID); at != nil {
			losses[i].bytes = dirty(at.Dirty)
		}
	}
	f := &form{
		heading: "Discard what is in no commit", do: "Discard", alike: len(all) - 1, gone: allThere(all...),
		about:   append(listed(losses, hidden), "Back to the newest commit.", "A stash keeps what is dropped "+u.keptFor(all...)+"; z brings it back."),
		command: func(_ []string, i int) []string { return append([]string{"discard"}, all[i].flags()...) },
		submit: func([]string) tea.Cmd {
			return callEach(u, "discard", "discarded", all, func(ctx context.Context, s dotmesh.Service, t target) error {
				_, err := t.discard(ctx, s)
				return err
			})
		},
	}
	if len(all) > 1 || hidden > 0 {
		return u.openForm(f)
	}
	f.submit = func([]string) tea.Cmd {
		return u.call("discard "+all[0].String(), func(ctx context.Context, s dotmesh.Service) (string, error) {
			changed, err := all[0].discard(ctx, s)
			return "discarded " + all[0].String() + keptIn(changed), err
		})
	}
	return tea.Batch(u.openForm(f), u.previewFiles(f, all[0]))
}

// loss is a branch and how much of it is in no commit.
type loss struct {
	target
	bytes string
}

func (l loss) String() string { return l.target.String() + ": " + l.bytes + " in no commit" }

// discard drops what is in no commit of a branch, if that is still the one that was chosen.
func (t target) discard(ctx context.Context, s dotmesh.Service) (dotmesh.Changed, error) {
	if err := t.check(ctx, s); err != nil {
		return dotmesh.Changed{}, err
	}
	return s.Discard(ctx, dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: t.dot, Branch: t.branch, Request: dotmesh.NewUUID()}})
}

// previewFiles adds to what a form says which files of a branch are in no commit.
func (u *ui) previewFiles(f *form, t target) tea.Cmd {
	const most = 8
	return fetch(u, func(ctx context.Context, s dotmesh.Service) (diffstat, error) {
		return readFiles(ctx, s, dotmesh.DiffRequest{Dot: t.dot, Branch: t.branch}, maxFiles), nil
	}, func(u *ui, d diffstat, _ error) tea.Cmd {
		for i, line := range u.diffstatLines(d, false) {
			if i > most {
				f.about = append(f.about, "   "+u.look.cut+" and "+count(len(d.files)-most)+" more")
				break
			}
			f.about = append(f.about, ansi.Strip(line))
		}
		return nil
	})
}

// delete deletes what the cursor is on, or what is marked. The name has to be typed.
func (u *ui) delete() tea.Cmd {
	switch u.browse.focus {
	case paneCommits:
		return u.deleteCommits()
	case paneBranches:
		return u.deleteBranches()
	}
	return u.deleteDots()
}

func (u *ui) deleteDots() tea.Cmd {
	b := u.browse
	ids, hidden := b.chosenDots()
	var all []wholeDot
	about := []string{}
	for i, id := range ids {
		if i == len(ids)-hidden {
			about = append(about, "Marked, and hidden by the filter:")
		}
		if d := b.byID[id]; d != nil {
			all = append(all, wholeDot{target{dot: d.Name, dotID: d.ID}})
			about = append(about, d.Name.String()+": "+plural(d.Branches, "branch", "branches")+", "+
				plural(int(d.Branch.Pointer.Count), "commit", "commits")+", "+sizeOf(&d.Branch)+", "+dirty(d.Branch.Dirty)+" in no commit"+usedBy(d.Branch.Containers))
		}
	}
	if len(all) == 0 {
		return u.nothing("a dot")
	}
	typed := all[0].String()
	if len(all) > 1 {
		typed = "delete " + strconv.Itoa(len(all)) + " dots"
	}
	return u.openForm(&form{
		heading: "Delete " + plural(len(all), "dot", "dots"), do: "Delete", typed: typed, alike: len(all) - 1,
		about: append(about, "The data are kept until retention ends. z right afterwards brings them back, and dm undo --dot NAME until then."),
		gone: func(u *ui) (why string) {
			for i := 0; i < len(all) && why == ""; i++ {
				why = stillThere(all[i].dotID, all[i].dot)(u)
			}
			return why
		},
		command: func(_ []string, i int) []string { return []string{"dot", "delete", all[i].String()} },
		submit:  func([]string) tea.Cmd { return u.deleteEach(all) },
	})
}

// deleteEach deletes dots, and remembers for z which ones are gone: they have no row any more.
func (u *ui) deleteEach(all []wholeDot) tea.Cmd {
	var gone []wholeDot
	work := callEach(u, "delete", "deleted", all, func(ctx context.Context, s dotmesh.Service, d wholeDot) error {
		if err := d.check(ctx, s); err != nil {
			return err
		}
		err := s.DeleteDot(ctx, dotmesh.DeleteDot{Dot: d.dot, Request: dotmesh.NewUUID()})
		if err == nil {
			gone = append(gone, d)
		}
		return err
	})
	return func() tea.Msg {
		msg := work()
		if d, ok := msg.(done); ok && len(gone) > 0 {
			d.said += "; z undoes"
			d.then = func(u *ui) { u.deleted = gone }
			return d
		}
		return msg
	}
}

func usedBy(all []dotmesh.Container) string {
	if len(all) == 0 {
		return ""
	}
	return ", in use by " + users(all)
}

func (u *ui) deleteBranches() tea.Cmd {
	d := u.browse.dot()
	all, hidden := u.browse.targets()
	if d == nil || len(all) == 0 {
		return u.nothing("a branch")
	}
	typed := string(all[0].branch)
	if len(all) > 1 {
		typed = "delete " + strconv.Itoa(len(all)) + " branches"
	}
	return u.openForm(&form{
		heading: "Delete " + plural(len(all), "branch", "branches") + " of " + d.Name.String(), do: "Delete", typed: typed, alike: len(all) - 1,
		about: append(listed(all, hidden), "The data are kept until retention ends; until then z brings a branch back."),
		gone:  allThere(all...),
		command: func(_ []string, i int) []string {
			return []string{"branch", "-d", string(all[i].branch), "--dot", all[i].dot.String()}
		},
		submit: func([]string) tea.Cmd {
			return callEach(u, "delete", "deleted", all, func(ctx context.Context, s dotmesh.Service, t target) error {
				if err := t.check(ctx, s); err != nil {
					return err
				}
				return s.DeleteBranch(ctx, dotmesh.BranchRequest{Dot: t.dot, Branch: t.branch, Request: dotmesh.NewUUID()})
			})
		},
	})
}

func (u *ui) deleteCommits() tea.Cmd {
	d, at, all := u.browse.dot(), u.browse.branchAt(), u.browse.chosenCommits()
	if d == nil || at == nil || len(all) == 0 {
		return u.nothing("a commit")
	}
	t := targetOf(d, at)
	typed := short(all[0].ID)
	if len(all) > 1 {
		typed = "delete " + strconv.Itoa(len(all)) + " commits"
	}
	f := &form{
		heading: "Delete " + plural(len(all), "commit", "commits") + " of " + t.String(), do: "Delete", typed: typed, alike: len(all) - 1, gone: allThere(t),
		command: func(_ []string, i int) []string {
			return append([]string{"commit", "delete", all[i].ID.String()}, t.flags()...)
		},
		submit: func([]string) tea.Cmd {
			return callEach(u, "delete", "deleted", all, func(ctx context.Context, s dotmesh.Service, c chosenCommit) error {
				return s.DeleteCommit(ctx, dotmesh.CommitRef{Dot: t.dot, Branch: t.branch, Ref: c.ID.String(), Request: dotmesh.NewUUID()})
			})
		},
	}
	for _, c := range all {
		f.about = append(f.about, c.String()+", "+u.subject(c.Message))
	}
	f.about = append(f.about, "What is deleted goes from the branch's history; until retention ends z brings it back.")
	return u.openForm(f)
}

// move lets one choose the node that becomes the master of what is marked.
func (u *ui) move() tea.Cmd {
	all, hidden := u.browse.targets()
	if len(all) == 0 {
		return u.nothing("a dot or branch")
	}
	return u.chooseNode("Move "+named(all)+" to", func(n *dotmesh.NodeStatus) tea.Cmd {
		name := string(n.Name)
		return u.openForm(&form{
			heading: "Move " + named(all), do: "Move", alike: len(all) - 1, gone: allThere(all...),
			about: append(listed(all, hidden),
				"To "+name+", with the consent of the master now. What is in use is refused, and says who uses it.",
				"The newest increment goes over; until "+name+" takes it, x in Transfers leaves it where it is.",
			),
			command: func(_ []string, i int) []string { return []string{"move", all[i].String(), name} },
			submit: func([]string) tea.Cmd {
				return callEach(u, "move", "on its way to "+name+":", all, func(ctx context.Context, s dotmesh.Service, t target) error {
					_, err := s.Move(ctx, dotmesh.MoveRequest{Dot: t.dot, Branch: t.branch, Node: name, Request: dotmesh.NewUUID()})
					return err
				})
			},
		})
	})
}

// chooseNode opens a menu of the nodes, with how much room they have and how far behind
// they are.
func (u *ui) chooseNode(heading string, then func(*dotmesh.NodeStatus) tea.Cmd) tea.Cmd {
	m := &menu{heading: heading, empty: "no node is known"}
	for i := range u.pic.Nodes {
		n := u.pic.Nodes[i]
		detail := size(n.Pool.Free) + " free, lag " + lag(n.Missing, n.Behind)
		if !n.Alive {
			detail = "! silent"
		}
		m.all = append(m.all, choice{text: string(n.Name), detail: detail, run: func(*ui) tea.Cmd { return then(&n) }})
	}
	return u.openMenu(m)
}

// takeover lets one choose the node that becomes the master of what is marked, without the
// old one.
func (u *ui) takeover() tea.Cmd {
	all, hidden := u.browse.seen()
	if len(all) == 0 {
		return u.nothing("a branch that is no stash")
	}
	return u.chooseNode("Take over "+named(all)+" on", func(n *dotmesh.NodeStatus) tea.Cmd { return u.takeOver(all, hidden, n) })
}

func (u *ui) takeOver(all []seenBranch, hidden int, n *dotmesh.NodeStatus) tea.Cmd {
	name, typed := string(n.Name), all[0].dot.String()
	if len(all) > 1 {
		typed = "take over " + strconv.Itoa(len(all)) + " branches"
	}
	there := make([]target, len(all))
	about := []string{name + " becomes the master; the one now is not asked. This is for when that will not come back."}
	for i, b := range all {
		there[i] = b.target
		about = append(about, b.String()+": "+masterName(b.is)+" had "+dirty(b.is.Dirty)+" in no commit, as last known.")
	}
	if hidden > 0 {
		about = append(about, strconv.Itoa(hidden)+" of them are hidden by the filter.")
	}
	return u.openForm(&form{
		heading: "Take over " + named(all), do: "Take over", typed: typed, alike: len(all) - 1, gone: allThere(there...),
		about: append(about, "Commits are kept. What is in none is not on the new master; it becomes a stash if the old one returns."),
		command: func(_ []string, i int) []string {
			return []string{"move", all[i].String(), name, "--force", "--epoch", strconv.FormatUint(all[i].is.Pointer.Epoch, 10)}
		},
		submit: func([]string) tea.Cmd {
			return callEach(u, "take over", name+" is the master now of", all, func(ctx context.Context, s dotmesh.Service, b seenBranch) error {
				_, err := s.Takeover(ctx, dotmesh.TakeoverRequest{
					Dot: b.dot, Branch: b.branch, Node: n.ID, Epoch: b.is.Pointer.Epoch, Tip: b.is.Pointer.Tip, Request: dotmesh.NewUUID(),
				})
				return err
			})
		},
	})
}

// dotSettings changes what a dot's nodes do by themselves.
func (u *ui) dotSettings() tea.Cmd {
	d := u.browse.dot()
	if d == nil {
		return u.nothing("a dot")
	}
	replicas, often, expires := orAll(d.Replicas), d.RPO.String(), d.Expires.String()
	return u.openForm(&form{
		heading: "Settings of " + d.Name.String(), do: "Set", gone: stillThere(d.ID, d.Name),
		about: []string{"replicas: which nodes keep the commits; rpo: how often a commit is made by itself, 0s for never; expires: how long stashes are kept, 0s for the usual time."},
		fields: []*field{
			newField("replicas", replicas, nil), newField("rpo", often, checkDuration), newField("expires", expires, checkDuration),
		},
		command: func(v []string, _ int) []string {
			return []string{"dot", "set", d.Name.String(), "replicas=" + v[0], "rpo=" + v[1], "expires=" + v[2]}
		},
		submit: func(v []string) tea.Cmd {
			return u.call("set "+d.Name.String(), func(ctx context.Context, s dotmesh.Service) (string, error) {
				return "set " + d.Name.String(), setDot(ctx, s, d, v)
			})
		},
	})
}

// setDot changes what differs from d and nothing else.
func setDot(ctx context.Context, s dotmesh.Service, d *dotmesh.DotStatus, v []string) error {
	r := dotmesh.SetDot{Dot: d.Name}
	if v[0] != orAll(d.Replicas) {
		r.Replicas = &v[0]
	}
	for i, was := range []time.Duration{d.RPO, d.Expires} {
		now, err := time.ParseDuration(v[i+1])
		if err != nil {
			return err
		}
		if now != was {
			*[]**time.Duration{&r.RPO, &r.Expires}[i] = &now
		}
	}
	_, err := s.SetDot(ctx, r)
	return err
}

func checkDuration(text string) error {
	if d, err := time.ParseDuration(text); err != nil || d < 0 {
		return dotmesh.E("tui.duration", dotmesh.Invalid, "write a duration as 5s, 10m or 24h; 0s for none")
	}
	return nil
}

// filter asks what to show.
func (u *ui) filter() tea.Cmd {
	s := u.shown()
	f := &filterLine{screen: s, before: s.filtered(), input: newField("", s.filtered(), nil)}
	f.input.input.Focus()
	return u.ask(f)
}

// commandLine is a dm command line as a shell takes it; "" if dm has none.
func (u *ui) commandLine(args []string) string {
	if u.o.Command == nil {
		return ""
	}
	if last := &u.lined; last.args == nil || !slices.Equal(last.args, args) {
		line, err := u.o.Command(args)
		if err != nil {
			line = ""
		}
		last.args, last.line = args, line
	}
	return u.lined.line
}

// showCommand shows and copies the dm command that shows what is chosen.
func (u *ui) showCommand() tea.Cmd {
	d, at := u.browse.dot(), u.browse.branchAt()
	if d == nil {
		return u.nothing("a dot")
	}
	args := []string{"dot", "show", d.Name.String()}
	if u.browse.focus > paneDots && at != nil {
		args = append([]string{"log"}, targetOf(d, at).flags()...)
	}
	if u.browse.focus == paneCommits && at != nil {
		switch c := u.browse.commitAt(); {
		case c == nil:
			args = append([]string{"diff"}, targetOf(d, at).flags()...)
		case !c.Parent.IsZero():
			args = append([]string{"diff", c.Parent.String(), c.ID.String()}, targetOf(d, at).flags()...)
		}
	}
	line := u.commandLine(args)
	if line == "" {
		return u.say("dm has no command for this")
	}
	return tea.Batch(tea.SetClipboard(line), u.say("copied: "+line))
}
