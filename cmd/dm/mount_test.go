package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

// mountable is a fake whose volumes are at a folder that is there.
func mountable(t *testing.T) (*fake, *shell, string) {
	f := shop()
	f.mountAt = t.TempDir()
	return f, newShell(t, f), t.TempDir()
}

func linkAt(t *testing.T, path string) string {
	t.Helper()
	at, err := os.Readlink(path)
	if err != nil {
		t.Error(err)
	}
	return at
}

func TestMountMakesALinkAndUnmountRemovesIt(t *testing.T) {
	f, s, folder := mountable(t)
	path := filepath.Join(folder, "here")
	if code := s.run("mount", "shop@attempt.sub", path); code != exitOK || s.out != f.mountAt+"\n" {
		t.Fatalf("exit %d, %q, %s", code, s.out, s.err)
	}
	if at := linkAt(t, path); at != f.mountAt {
		t.Errorf("the link points at %s", at)
	}
	want := dotmesh.MountRequest{Volume: dotmesh.Volume{Dot: admin("shop"), Branch: "attempt", Subdot: "sub"}}
	if !reflect.DeepEqual(f.asked, []any{want}) {
		t.Errorf("it asks for %+v", f.asked)
	}
	if code := s.run("mount", "shop@attempt.sub", path); code != exitOK {
		t.Errorf("again: exit %d, %s", code, s.err)
	}
	f.asked = nil
	if code := s.run("unmount", path); code != exitOK {
		t.Fatalf("exit %d, %s", code, s.err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) || !reflect.DeepEqual(f.asked, []any{want}) {
		t.Errorf("%s is still there (%v), or it asks for %+v", path, err, f.asked)
	}
	if code := s.run("unmount", path); code != exitNotFound {
		t.Errorf("again: exit %d, %s", code, s.err)
	}
}

func TestMountTakesOnlyAFreePath(t *testing.T) {
	f, s, folder := mountable(t)
	in := func(name string) string { return filepath.Join(folder, name) }
	for _, err := range []error{
		os.Mkdir(in("empty"), 0o755), os.MkdirAll(in("full/file"), 0o755), os.WriteFile(in("file"), nil, 0o644),
		os.Symlink("/elsewhere", in("link")), os.Symlink(in("full"), in("linked")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{
		"new": exitOK, "empty": exitOK, "full": exitConflict, "file": exitConflict, "link": exitConflict, "linked": exitConflict, "no/parent": exitFailure,
	} {
		if code := s.run("mount", "shop", in(name)); code != want {
			t.Errorf("%s: exit %d, want %d: %s", name, code, want, s.err)
		}
	}
	if linkAt(t, in("empty")) != f.mountAt || linkAt(t, in("link")) != "/elsewhere" {
		t.Error("the wrong path gave way")
	}
	if _, err := os.Stat(in("full/file")); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(in(".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

func TestUnmountRemovesNothingThatDmDidNotMake(t *testing.T) {
	_, s, folder := mountable(t)
	path := filepath.Join(folder, "here")
	s.run("mount", "shop", path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code := s.run("unmount", path); code != exitConflict || string(read(t, path)) != "mine" {
		t.Errorf("exit %d, %s", code, s.err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if code := s.run("unmount", path); code != exitOK {
		t.Errorf("of a link that somebody removed: exit %d, %s", code, s.err)
	}
}

func TestAVolumeGoesWithItsLastLink(t *testing.T) {
	f, s, folder := mountable(t)
	one, two := filepath.Join(folder, "one"), filepath.Join(folder, "two")
	s.run("mount", "shop", one)
	s.run("mount", "shop", two)
	f.asked = nil
	if s.run("unmount", one); len(f.asked) != 0 {
		t.Errorf("the first link takes the volume along: %v", f.asked)
	}
	if s.run("unmount", two); len(f.asked) != 1 {
		t.Errorf("the last link leaves the volume: %v", f.asked)
	}
}

func TestAVolumeThatIsInUseKeepsItsLink(t *testing.T) {
	f, s, folder := mountable(t)
	path := filepath.Join(folder, "here")
	s.run("mount", "shop", path)
	f.err = dotmesh.E("fake", dotmesh.Busy, "postgres uses it")
	if code := s.run("unmount", path); code != exitConflict || linkAt(t, path) != f.mountAt {
		t.Errorf("exit %d, %s", code, s.err)
	}
	s.env["DM_HOST"] = "unix:///tmp/other.sock"
	if code := s.run("unmount", path); code != exitConflict || !strings.Contains(s.err, "was mounted by the server") {
		t.Errorf("with another server: exit %d, %s", code, s.err)
	}
}

func TestMountOfACommit(t *testing.T) {
	f, s, folder := mountable(t)
	f.mounted = dotmesh.CommitID{UUID: dotmesh.NewUUID()}
	path := filepath.Join(folder, "before")
	if err := os.Mkdir(filepath.Join(f.mountAt, "__default__"), 0o755); err != nil {
		t.Fatal(err)
	}
	if code := s.run("mount", "--commit", "HEAD^", "--branch", "attempt", "shop", path); code != exitOK {
		t.Fatalf("exit %d, %s", code, s.err)
	}
	if want := (dotmesh.CommitRef{Dot: admin("shop"), Branch: "attempt", Ref: "HEAD^"}); !reflect.DeepEqual(f.asked, []any{want}) {
		t.Errorf("it asks for %+v", f.asked)
	}
	if at := linkAt(t, path); at != f.mountAt+"/__default__" {
		t.Errorf("the link points at %s", at)
	}
	if code := s.run("mount", "--commit", "HEAD", "shop.nothing", path+"2"); code != exitFailure {
		t.Errorf("a subdot that the commit lacks: exit %d, %s", code, s.err)
	}
	f.asked = nil
	code := s.run("unmount", path)
	want := dotmesh.MountRequest{Volume: dotmesh.Volume{Dot: admin("shop"), Branch: "attempt", Subdot: dotmesh.DefaultSubdot}, Commit: f.mounted}
	if code != exitOK || !reflect.DeepEqual(f.asked, []any{want}) {
		t.Errorf("exit %d, asks for %+v, %s", code, f.asked, s.err)
	}
}

func TestMountOnAnotherMachine(t *testing.T) {
	f, s, folder := mountable(t)
	f.mountAt = "/nowhere/at/all"
	path := filepath.Join(folder, "here")
	if code := s.run("mount", "-r", "new", path); code != exitFailure || !strings.Contains(s.err, "on another machine") {
		t.Errorf("exit %d, %s", code, s.err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Error("a link is made that points nowhere")
	}
}
