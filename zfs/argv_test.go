//go:build linux

package zfs

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

// flags are all that may begin with a dash.
var flags = []string{"-H", "-Hp", "-HPpv", "-r", "-d", "-t", "-o", "-O", "-N", "-L", "-c", "-e", "-i", "-nvt", "-u", "-s", "-x", "-A"}

// everyCommand makes each command there is, from ids.
func everyCommand(n names, r dotmesh.Ref) []command {
	line, at := n.line(r.Line), n.at(r)
	return []command{
		listAll(n.lines()), listOne(line), listNames(n.root()), listThese(line, at), getValues(at, "guid", "written@"+r.Commit.String()),
		createDataset(line), createWith(n.node(), "canmount=noauto", "reservation=1"), cloneSnapshot(at, line), takeSnapshots(at, at), destroyDataset(line),
		destroySnapshots(line, r.Commit.String(), r.Commit.String()), rollBack(at),
		setReadOnly(line, true), setReservation(n.node(), rand.Int64()),
		syncPool(n.pool), listPool(n.pool), poolSpace(n.pool), findPools("/a file"), importPool("/-a file", "123", n.pool), createPool(n.pool, "/file"),
		sendWhole(at), sendDifference(at, at), tokenContents("1-a-b-c"), sendRest("1-a-b-c"),
		receiveFirst(at, ""), receiveFirst(at, at), receiveNext(at), abortReceive(line),
		holdSnapshots("dotmesh-x", at, at), releaseSnapshots("dotmesh-x", at, at),
	}
}

func TestNoArgumentButAFlagBeginsWithADash(t *testing.T) {
	for range 200 {
		n := names{poolNames[rand.IntN(len(poolNames))]}
		r := dotmesh.Ref{Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
		for _, c := range everyCommand(n, r) {
			for _, arg := range c.args {
				if strings.HasPrefix(arg, "-") && !slices.Contains(flags, arg) {
					t.Fatalf("%s has %q", c, arg)
				}
				if arg == "" || strings.ContainsAny(arg, "\x00\n\t") {
					t.Fatalf("%s has %q", c, arg)
				}
			}
		}
	}
}

func TestWhatDestroysIsNeverAskedForMoreThanItNames(t *testing.T) {
	n := names{"pool"}
	r := dotmesh.Ref{Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	for _, c := range everyCommand(n, r) {
		if verb := c.args[0]; (verb == "destroy" || verb == "rollback") && len(c.args) != 2 {
			t.Errorf("%s", c)
		}
		for _, never := range []string{"promote", "rename", "-F", "-R", "-f", "-p", "-I"} {
			if slices.Contains(c.args, never) {
				t.Errorf("%s has %s", c, never)
			}
		}
	}
}

var poolNames = []string{"pool", "p", "tank-1", "a.b_c-d"}

func TestPoolNames(t *testing.T) {
	for _, name := range poolNames {
		if !ValidPool(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", "-o", "1a", "a b", "a/b", "a@b", "a\n", "ä", "mirror", "raidz1", "log", strings.Repeat("a", 65), "a:b", "a%b"} {
		if ValidPool(name) {
			t.Errorf("%q is accepted", name)
		}
	}
}

// FuzzNames takes any bytes for the name of a dataset. What it takes for a line or commit
// is written in just that way.
func FuzzNames(f *testing.F) {
	n := names{"pool"}
	r := dotmesh.Ref{Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	for _, name := range []string{
		n.line(r.Line), n.at(r), n.line(r.Line) + "/%recv", n.at(r) + "x", n.lines(), n.node(), "pool/dmfs/x@y", "other/dotmesh/lines/x",
		strings.ToUpper(n.at(r)), n.lines() + "/" + strings.ToUpper(r.Line.String()), n.line(r.Line) + "@", n.line(r.Line) + "@" + scratchPrefix + "x",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		r, ours := n.parse(name)
		if ours && n.at(r) != name {
			t.Errorf("%q is taken for %q", name, n.at(r))
		}
		if line, scratch := n.scratch(name); scratch && (ours || !strings.HasPrefix(name, n.line(line)+"@"+scratchPrefix)) {
			t.Errorf("%q is taken for a snapshot of our own", name)
		}
	})
}
