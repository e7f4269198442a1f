package plan

import (
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
)

// MinPrefix is the least number of characters by which a commit may be named.
const MinPrefix = 7

// Ref is a parsed reference to a commit: a starting point, and how many visible commits to
// go back from it.
type Ref struct {
	Start string // "HEAD", an id, the beginning of one, or a branch's name
	Back  int
}

// ParseRef reads "HEAD", "HEAD^^", "HEAD~3", "<start>^" and the like; the empty string is
// HEAD.
func ParseRef(s string) (Ref, error) {
	fault := dotmesh.E("parse ref", dotmesh.Invalid,
		"invalid commit %q: give a commit id or its beginning, HEAD, HEAD^, HEAD~2, or a branch's name", clip(s))
	start := strings.TrimRight(s, "^")
	r := Ref{Start: start, Back: len(s) - len(start)}
	if before, count, found := strings.Cut(start, "~"); found {
		n, err := strconv.ParseUint(count, 10, 20)
		if err != nil {
			return Ref{}, fault
		}
		r.Start, r.Back = before, r.Back+int(n)
	}
	if r.Start == "" {
		r.Start = "HEAD"
	}
	if _, err := dotmesh.ParseName(r.Start); err != nil {
		return Ref{}, fault
	}
	return r, nil
}

func clip(s string) string {
	if len(s) > dotmesh.MaxName {
		return s[:dotmesh.MaxName] + "…"
	}
	return s
}

// IsPrefix reports whether the start could be the beginning of a commit's id.
func (r Ref) IsPrefix() bool {
	return len(r.Start) >= MinPrefix && strings.Trim(strings.ToLower(r.Start), "0123456789abcdef-") == ""
}
