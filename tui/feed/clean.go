package feed

import (
	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// This file is the boundary: what is meant to be shown is harmless from here on. Names and
// ids stay as they are, since they are what calls are made with, and their grammar has no
// harm in it. What came from the service is the feed's to change.

func clean(texts ...*string) {
	for _, s := range texts {
		if !isHarmless(*s) {
			*s = termsafe.Brief(*s)
		}
	}
}

// cleanWord is clean for a word of which there are a few, from a server that may know others.
func cleanWord[T ~string](w *T) {
	if !isHarmless(string(*w)) {
		*w = T(termsafe.Brief(string(*w)))
	}
}

// words are texts that many dots say alike: they are kept in memory once.
type words map[string]string

func (w words) share(d *dotmesh.DotStatus) {
	b := &d.Branch
	shareWord(w, &d.Name.Namespace)
	shareWord(w, &d.Replicas)
	shareWord(w, &b.Name)
	shareWord(w, &b.MasterName)
	shareWord(w, &b.Pointer.Master)
	shareWord(w, &b.Pointer.State.Phase)
}

func shareWord[T ~string](w words, text *T) {
	known, ok := w[string(*text)]
	if !ok {
		known = string(*text)
		w[known] = known
	}
	*text = T(known)
}

// isHarmless reports whether s is printable ASCII only, and not too much of it, as most texts are.
func isHarmless(s string) bool {
	if len(s) > termsafe.Most {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func cleanVersion(v *dotmesh.Version) { clean(&v.Version, &v.Store) }

func cleanUser(u *dotmesh.User) {
	clean(&u.Email)
	u.Metadata = cleanMap(u.Metadata)
}

func cleanMap(m map[string]string) map[string]string {
	all := make(map[string]string, len(m))
	for k, v := range m {
		all[termsafe.Brief(k)] = termsafe.Brief(v)
	}
	return all
}

func cleanDot(d *dotmesh.Dot) { clean(&d.Replicas) }

func cleanBranch(b *dotmesh.BranchStatus) {
	cleanHistory(&b.Branch)
	for i := range b.Containers {
		clean(&b.Containers[i].ID, &b.Containers[i].Name)
	}
}

func cleanHistory(b *dotmesh.Branch) {
	cleanWord(&b.Pointer.State.Phase)
	if b.Stash != nil {
		cleanWord(&b.Stash.Reason)
	}
}

func cleanNode(n *dotmesh.Node) {
	clean(&n.Pool, &n.Version)
	for i := range n.Addresses {
		clean(&n.Addresses[i])
	}
}

func cleanTransfer(t *dotmesh.Transfer) {
	cleanWord(&t.Kind)
	cleanWord(&t.State)
	clean(&t.From, &t.To, &t.Step, &t.Reason)
}

func cleanEvent(e *dotmesh.Event) {
	switch {
	case e.Dot != nil:
		cleanDot(e.Dot)
	case e.Branch != nil:
		cleanHistory(e.Branch)
	case e.Commit != nil:
		cleanWord(&e.Commit.Kind)
		clean(&e.Commit.Author, &e.Commit.Message)
	case e.Node != nil:
		cleanNode(e.Node)
	case e.Transfer != nil:
		cleanTransfer(e.Transfer)
	case e.Log != nil:
		clean(&e.Log.Level, &e.Log.Text)
	}
}

// harmless returns what a user is told of err as an error of its own.
func harmless(err error) error {
	if err == nil {
		return nil
	}
	return &dotmesh.Error{Op: "feed", Kind: dotmesh.KindOf(err), Text: termsafe.Brief(dotmesh.Text(err))}
}
