package democluster

import (
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
)

// minPrefix is the least number of characters by which a commit may be named.
const minPrefix = 7

// ref is a parsed reference to a commit: a starting point, and how many visible commits to
// go back from it.
type ref struct {
	start string // "HEAD", an id, the beginning of one, or a branch's name
	back  int
}

// parseRef reads "HEAD", "HEAD^^", "HEAD~3", "<start>^" and the like; the empty string is
// HEAD.
func parseRef(s string) (ref, error) {
	fault := dotmesh.E("parse ref", dotmesh.Invalid,
		"invalid commit %q: give a commit id or its beginning, HEAD, HEAD^, HEAD~2, or a branch's name", s[:min(len(s), dotmesh.MaxName)])
	start := strings.TrimRight(s, "^")
	r := ref{start: start, back: len(s) - len(start)}
	if before, count, found := strings.Cut(start, "~"); found {
		n, err := strconv.ParseUint(count, 10, 20)
		if err != nil {
			return ref{}, fault
		}
		r.start, r.back = before, r.back+int(n)
	}
	if r.start == "" {
		r.start = "HEAD"
	}
	if _, err := dotmesh.ParseName(r.start); err != nil {
		return ref{}, fault
	}
	return r, nil
}

// isPrefix reports whether the start could be the beginning of a commit's id.
func (r ref) isPrefix() bool {
	return len(r.start) >= minPrefix && strings.Trim(strings.ToLower(r.start), "0123456789abcdef-") == ""
}

// among finds the commit whose id begins as the reference does, in the history of some
// branches. It returns nil if there is none.
func (r ref) among(branches []*branch) (*commit, error) {
	prefix := strings.ToLower(r.start)
	found := map[*commit]bool{}
	var one *commit
	for _, b := range branches {
		for m := range b.tip.history() {
			if strings.HasPrefix(m.ID.String(), prefix) {
				found[m], one = true, m
			}
		}
	}
	if len(found) > 1 {
		return nil, dotmesh.E("democluster.commitOf", dotmesh.Conflict, "%q is the beginning of %d commits; give more characters", prefix, len(found))
	}
	return one, nil
}

func noCommit(ref string) error {
	return dotmesh.E("democluster.commitOf", dotmesh.NotFound, "no commit or branch called %q; \"dm log\" shows the commits", ref)
}
