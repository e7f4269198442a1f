//go:build linux

package zfs

import (
	"strings"

	"dotmesh.io/dotmesh"
)

// names makes the names of what lies in one zpool. They hold ids and fixed words only.
type names struct{ pool string }

func (n names) root() string    { return n.pool + "/dotmesh" }
func (n names) lines() string   { return n.root() + "/lines" }
func (n names) node() string    { return n.root() + "/node" }
func (n names) reserve() string { return n.root() + "/reserve" }

// line returns the dataset of a line.
func (n names) line(id dotmesh.LineID) string { return n.lines() + "/" + id.String() }

// at returns the dataset or snapshot of a head or commit.
func (n names) at(r dotmesh.Ref) string {
	if r.Commit.IsZero() {
		return n.line(r.Line)
	}
	return n.line(r.Line) + "@" + r.Commit.String()
}

// parse returns the head or commit that a dataset or snapshot is. Others are not ours:
// what somebody else made, and what the kernel calls %recv.
func (n names) parse(name string) (dotmesh.Ref, bool) {
	rest, below := strings.CutPrefix(name, n.lines()+"/")
	if !below {
		return dotmesh.Ref{}, false
	}
	dataset, snapshot, isCommit := strings.Cut(rest, "@")
	line, err := dotmesh.ParseUUID(dataset)
	if err != nil || line.String() != dataset {
		return dotmesh.Ref{}, false
	}
	r := dotmesh.Ref{Line: dotmesh.LineID{UUID: line}}
	if !isCommit {
		return r, true
	}
	r.Commit, err = dotmesh.ParseCommitID(snapshot)
	return r, err == nil && r.Commit.String() == snapshot
}

// scratchPrefix begins the names of snapshots that the store takes for itself.
const scratchPrefix = "scratch-"

// scratch returns the line of a snapshot that the store has taken for itself.
func (n names) scratch(name string) (line dotmesh.LineID, ours bool) {
	dataset, snapshot, _ := strings.Cut(name, "@")
	r, ok := n.parse(dataset)
	return r.Line, ok && strings.HasPrefix(snapshot, scratchPrefix)
}

func head(line dotmesh.LineID) dotmesh.Ref { return dotmesh.Ref{Line: line} }

// ValidPool reports whether a zpool may have that name. The kernel allows a few more.
func ValidPool(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if name == "" || len(name) > 64 || !strings.ContainsRune(letters, rune(name[0])) {
		return false
	}
	for _, word := range []string{"mirror", "raidz", "draid", "spare", "log"} {
		if strings.HasPrefix(name, word) { // the zpool program takes these for kinds of devices
			return false
		}
	}
	return strings.Trim(name, letters+"0123456789_.-") == ""
}
