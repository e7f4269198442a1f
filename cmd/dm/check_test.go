package main

import (
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

func TestDamageIsSaidOfEachCommitAndOnceMore(t *testing.T) {
	f := shop()
	f.checked = []dotmesh.Checked{
		{Dot: admin("shop"), Branch: "master", Commit: dotmesh.CommitID{UUID: uuid(0xc1)}, State: dotmesh.CheckSame, Tree: "abc", Bytes: 2048},
		{Dot: admin("shop"), Branch: "master", Commit: dotmesh.CommitID{UUID: uuid(0xc2)}, State: dotmesh.CheckUnreadable, Text: "orders.db cannot be read"},
	}
	s := newShell(t, f)
	if code := s.run("check", "shop"); code != exitFailure {
		t.Errorf("dm check exits with %d", code)
	}
	want := "same        " + uuid(0xc1).String() + "  shop@master  2.00 kiB\n" +
		"unreadable  " + uuid(0xc2).String() + "  shop@master  -  orders.db cannot be read\n"
	if s.out != want || !strings.Contains(s.err, "1 of 2 commits are damaged") {
		t.Errorf("dm check prints %q and says %q, want %q", s.out, s.err, want)
	}
	if s.run("check", "shop", "-H"); !strings.Contains(s.out, "unreadable\tshop\tmaster\t"+uuid(0xc2).String()+"\t\t0\torders.db cannot be read\t\n") {
		t.Errorf("dm check -H prints %q", s.out)
	}
}
