//go:build linux

package btrfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/internal/frame"
)

// target is a pool that hostile streams are sent to, and what lies around it.
type target struct {
	*crasher
	top    string       // the pool's file system, as only root sees it
	trap   string       // a directory outside, which must not change
	base   dotmesh.Ref  // the newest commit of the line that is sent to
	from   dotmesh.UUID // its guid
	guid   dotmesh.UUID // of the commit that is sent
	id     dotmesh.CommitID
	secret dotmesh.UUID // the guid of another line's commit
	other  dotmesh.LineID
}

// newTarget makes a line with a commit that holds a directory d with a file f, a file g,
// links to the trap and beyond, a set-user-id program and an immutable file.
func newTarget(t testing.TB) *target {
	t.Helper()
	p := &target{crasher: newStore(t), trap: t.TempDir(), guid: dotmesh.NewUUID(), top: t.TempDir()}
	p.id = dotmesh.CommitID{UUID: p.guid}
	command(t, "mkdir", filepath.Join(p.trap, "dir"))
	write(t, filepath.Join(p.trap, "f"), "untouched")
	write(t, filepath.Join(p.trap, "dir/f"), "untouched")
	if err := work(t.Context(), p.Store); err != nil {
		t.Fatal(err)
	}
	p.other = dotmesh.LineID{UUID: dotmesh.NewUUID()}
	if err := p.Fork(t.Context(), p.other, dotmesh.Origin{}); err != nil {
		t.Fatal(err)
	}
	dir, unmount := mountLive(t, p, p.other)
	write(t, filepath.Join(dir, "secret"), strings.Repeat("secret", 1000))
	unmount()
	p.secret = p.commit(t, p.other)
	dir, unmount = mountLive(t, p, childLine)
	write(t, filepath.Join(dir, "g"), strings.Repeat("g", 8192))
	write(t, filepath.Join(dir, "suid"), "program")
	write(t, filepath.Join(dir, "fixed"), "immutable")
	err := errors.Join(
		os.Mkdir(filepath.Join(dir, "d"), 0o755), os.Mkdir(filepath.Join(dir, "empty"), 0o755),
		os.Symlink(p.trap, filepath.Join(dir, "out")), os.Symlink("..", filepath.Join(dir, "d/up")),
		os.Symlink("/proc/self/root"+p.trap, filepath.Join(dir, "magic")), os.Symlink(filepath.Join(p.trap, "f"), filepath.Join(dir, "outfile")),
		os.Chmod(filepath.Join(dir, "suid"), 0o755|os.ModeSetuid),
		unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "d/f"), "inside")
	command(t, "chattr", "+i", filepath.Join(dir, "fixed"))
	unmount()
	p.from = p.commit(t, childLine)
	info, err := p.Line(t.Context(), childLine)
	if err != nil {
		t.Fatal(err)
	}
	p.base = dotmesh.Ref{Line: childLine, Commit: info.Commits[len(info.Commits)-1].ID}
	if err := p.DropHead(t.Context(), childLine); err != nil {
		t.Fatal(err)
	}
	command(t, "mount", "-o", "subvolid=5", loopDevice(t, p.file), p.top)
	t.Cleanup(func() { command(t, "umount", p.top) })
	return p
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// commit makes a commit and returns its guid.
func (p *target) commit(t testing.TB, line dotmesh.LineID) dotmesh.UUID {
	t.Helper()
	got := p.Snapshot(t.Context(), []dotmesh.SnapRequest{{Line: line, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}})[0]
	guid, err := dotmesh.ParseUUID(got.GUID)
	if err := errors.Join(err, got.Err); err != nil {
		t.Fatal(err)
	}
	return guid
}

// start begins a script: the difference to the base.
func (p *target) start() *script {
	return new(script).begin(1).do(cSnapshot, attr{aPath, "x"}, attr{aUUID, p.guid}, attr{aCtransid, 7},
		attr{aCloneUUID, p.from}, attr{aCloneCtransid, 6})
}

// header is that of the commit that is sent.
func (p *target) header() frame.Header {
	return frame.Header{
		Format: "btrfs-1", Line: childLine, Commit: p.id, GUID: p.guid.String(),
		From: p.base, FromGUID: p.from.String(),
	}
}

// send has the pool receive a script.
func (p *target) send(t testing.TB, s *script, trust dotmesh.Trust) error {
	t.Helper()
	_, err := p.Receive(t.Context(), dotmesh.RecvSpec{Line: childLine, Trust: trust}, bytes.NewReader(s.framed(t, p.header())))
	return err
}

// picture is all that a stream must not change: what lies in the pool, and the trap.
func (p *target) picture(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{p.trap, filepath.Join(p.top, "lines")} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			fmt.Fprintln(&b, path, info.Mode(), info.Size())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"f", "dir/f"} {
		content, err := os.ReadFile(filepath.Join(p.trap, name))
		if err != nil || string(content) != "untouched" {
			t.Errorf("the file outside holds %q, %v", content, err)
		}
	}
	return b.String()
}

// hostile is a stream with one trick.
type hostile struct {
	name string
	want dotmesh.Kind
	make func(p *target) *script
}

const far = 1 << 62

// hostiles are refused whoever sends them.
func hostiles() []hostile {
	long := strings.Repeat("n", 256)
	type s = *script
	trick := func(name string, make func(p *target, s s) s) hostile {
		return hostile{name, dotmesh.Corrupt, func(p *target) s { return make(p, p.start()).end() }}
	}
	bare := func(name string, make func(p *target) s) hostile { return hostile{name, dotmesh.Corrupt, make} }
	list := []hostile{
		// Symbolic links that lead out.
		trick("write through a link", func(_ *target, s s) s { return s.write("outfile", 0, "overwritten") }),
		trick("write below a link", func(_ *target, s s) s { return s.write("out/f", 0, "overwritten") }),
		trick("a link of its own, and a file below it", func(p *target, s s) s { return s.symlink("l", p.trap).mkfile("l/made") }),
		trick("a link of its own, renamed, and a file below it", func(p *target, s s) s {
			return s.symlink("o1", p.trap).rename("o1", "d/l").mkfile("o2").rename("o2", "d/l/made")
		}),
		trick("a link in place of a directory that is known", func(p *target, s s) s {
			return s.mkfile("d/a").rename("d", "moved").symlink("d", p.trap).mkfile("d/made")
		}),
		trick("a link above a directory that is known", func(p *target, s s) s {
			return s.mkdir("d/e").mkfile("d/e/a").rename("d", "moved").symlink("d", p.trap).mkfile("d/e/made")
		}),
		trick("a link in place of a file that is open", func(p *target, s s) s {
			return s.mkfile("a").write("a", 0, "x").unlink("a").symlink("a", p.trap+"/f").write("a", 0, "overwritten")
		}),
		trick("truncate through a link", func(_ *target, s s) s { return s.truncate("outfile", 0) }),
		trick("mkdir below a link", func(_ *target, s s) s { return s.mkdir("out/made") }),
		trick("symlink below a link", func(_ *target, s s) s { return s.symlink("out/made", "x") }),
		trick("mkfifo below a link", func(_ *target, s s) s { return s.node(cMkfifo, "out/made", unix.S_IFIFO, 0) }),
		trick("rename out", func(_ *target, s s) s { return s.rename("g", "out/g") }),
		trick("rename in", func(_ *target, s s) s { return s.rename("out/f", "stolen") }),
		trick("link out", func(_ *target, s s) s { return s.link("out/g", "g") }),
		trick("link in", func(_ *target, s s) s { return s.link("stolen", "out/f") }),
		trick("unlink below a link", func(_ *target, s s) s { return s.unlink("out/f") }),
		trick("rmdir through a link", func(_ *target, s s) s { return s.rmdir("out") }),
		trick("chmod through a link", func(_ *target, s s) s { return s.chmod("outfile", 0o777) }),
		trick("chmod below a link", func(_ *target, s s) s { return s.chmod("out/f", 0o777) }),
		trick("chown below a link", func(_ *target, s s) s { return s.chown("out/f", 1, 1) }),
		trick("utimes below a link", func(_ *target, s s) s { return s.utimes("out/f", 1) }),
		trick("an attribute below a link", func(_ *target, s s) s { return s.xattr("out/f", "user.x", "1") }),
		trick("no attribute below a link", func(_ *target, s s) s {
			return s.do(cRemoveXattr, attr{aPath, "out/f"}, attr{aXattrName, "user.x"})
		}),
		trick("mkfile far below a link", func(_ *target, s s) s { return s.mkfile("out/dir/made") }),
		trick("write far below a link", func(_ *target, s s) s { return s.write("out/dir/f", 0, "overwritten") }),
		trick("rename from far below a link", func(_ *target, s s) s { return s.rename("out/dir/f", "stolen") }),
		trick("unlink far below a link", func(_ *target, s s) s { return s.unlink("out/dir/f") }),
		trick("clone from far below the parent's link", func(p *target, s s) s { return s.clone("g", 0, p.from, "out/dir/f", 0, 9) }),
		trick("back in by a link that goes up", func(_ *target, s s) s { return s.write("d/up/d/f", 0, "x") }),
		trick("far through a link of the kernel's", func(_ *target, s s) s { return s.write("magic/dir/f", 0, "overwritten") }),
		trick("through a link that goes up", func(_ *target, s s) s { return s.mkfile("d/up/made") }),
		trick("through a link of the kernel's", func(_ *target, s s) s { return s.write("magic/f", 0, "overwritten") }),
		trick("clone from below a link", func(p *target, s s) s { return s.clone("g", 0, p.guid, "out/f", 0, 4096) }),
		trick("clone from below the parent's link", func(p *target, s s) s { return s.clone("g", 0, p.from, "out/f", 0, 4096) }),

		// Other files than those it may have.
		trick("clone from another line's commit", func(p *target, s s) s { return s.clone("g", 0, p.secret, "secret", 0, 4096) }),
		trick("clone from another line's commit by path", func(p *target, s s) s {
			return s.clone("g", 0, p.from, "../../../"+p.other.String()+"/live/secret", 0, 4096)
		}),
		trick("clone from nobody's commit", func(_ *target, s s) s { return s.clone("g", 0, dotmesh.NewUUID(), "g", 0, 4096) }),
		trick("clone from a commit without a uuid", func(_ *target, s s) s { return s.clone("g", 0, dotmesh.UUID{}, "g", 0, 4096) }),
		trick("clone a part to itself", func(p *target, s s) s { return s.clone("g", 4096, p.guid, "g", 0, 8192) }),
		trick("clone nothing", func(p *target, s s) s { return s.clone("g", 0, p.from, "g", 0, 0) }),
		trick("clone from beyond the end", func(p *target, s s) s { return s.clone("g", 0, p.from, "g", 4096, 1<<40) }),
		trick("clone more than any extent has", func(p *target, s s) s {
			return s.truncate("g", 1<<40).clone("d/f", 0, p.guid, "g", 0, 1<<30+1)
		}),
		trick("clone from so far that it overflows", func(p *target, s s) s { return s.clone("g", 0, p.from, "g", math.MaxUint64-4095, 8192) }),
		trick("clone to so far that it overflows", func(p *target, s s) s { return s.clone("g", math.MaxUint64-4095, p.from, "g", 0, 8192) }),
		trick("clone from a directory", func(p *target, s s) s { return s.clone("g", 0, p.from, "d", 0, 4096) }),
		trick("clone from a device", func(p *target, s s) s { return s.clone("g", 0, p.from, "null", 0, 4096) }),
		trick("write to a device", func(_ *target, s s) s { return s.write("null", 0, "x") }),
		trick("write to a fifo", func(_ *target, s s) s { return s.write("fifo", 0, "x") }),
		trick("write to a directory", func(_ *target, s s) s { return s.write("d", 0, "x") }),
		trick("write to nothing", func(_ *target, s s) s { return s.write("absent", 0, "x") }),
		trick("truncate a device", func(_ *target, s s) s { return s.truncate("null", 0) }),
		trick("link a directory", func(_ *target, s s) s { return s.link("d/d", "d") }),
		trick("rename a directory into itself", func(_ *target, s s) s { return s.rename("d", "d/e") }),
		trick("rename over a directory that is not empty", func(_ *target, s s) s { return s.rename("empty", "d") }),
		trick("rmdir a directory that is not empty", func(_ *target, s s) s { return s.rmdir("d") }),
		trick("unlink a directory", func(_ *target, s s) s { return s.unlink("d") }),
		trick("make a file twice", func(_ *target, s s) s { return s.mkfile("g").chmod("g", 0o600) }),

		// The root.
		trick("rename the root", func(_ *target, s s) s { return s.rename("", "d/x") }),
		trick("rename over the root", func(_ *target, s s) s { return s.rename("d", "") }),
		trick("remove the root", func(_ *target, s s) s { return s.rmdir("") }),
		trick("unlink the root", func(_ *target, s s) s { return s.unlink("") }),
		trick("make the root", func(_ *target, s s) s { return s.mkdir("") }),
		trick("link the root", func(_ *target, s s) s { return s.link("d/x", "") }),
		trick("write to the root", func(_ *target, s s) s { return s.write("", 0, "x") }),
		trick("clone to the root", func(p *target, s s) s { return s.clone("", 0, p.from, "g", 0, 4096) }),

		// Numbers that nothing has.
		trick("write beyond all files", func(_ *target, s s) s { return s.write("g", 1<<63, "x") }),
		trick("write at the very end", func(_ *target, s s) s { return s.write("g", math.MaxInt64, "x") }),
		trick("truncate beyond all files", func(_ *target, s s) s { return s.truncate("g", 1<<63) }),
		trick("a mode of another kind of file", func(_ *target, s s) s { return s.chmod("g", unix.S_IFCHR|0o666) }),
		trick("a mode for a link", func(_ *target, s s) s { return s.symlink("l", "g").chmod("l", 0o777) }),
		trick("no owner", func(_ *target, s s) s { return s.chown("g", math.MaxUint32, 0) }),
		trick("an owner beyond all", func(_ *target, s s) s { return s.chown("g", 0, 1<<32) }),
		trick("the time of now", func(_ *target, s s) s { return s.utimes("g", unix.UTIME_NOW) }),
		trick("no time", func(_ *target, s s) s { return s.utimes("g", unix.UTIME_OMIT) }),
		trick("a fifo that is a device", func(_ *target, s s) s { return s.node(cMkfifo, "a", unix.S_IFCHR|0o666, 0x103) }),
		trick("a socket that is a device", func(_ *target, s s) s { return s.node(cMksock, "a", unix.S_IFBLK|0o666, 0x700) }),
		trick("a device that is a file", func(_ *target, s s) s { return s.node(cMknod, "a", unix.S_IFREG|0o666, 0) }),
		trick("a device beyond all", func(_ *target, s s) s { return s.node(cMknod, "a", unix.S_IFCHR|0o666, 1<<40) }),
		trick("an attribute without a name", func(_ *target, s s) s { return s.xattr("g", "", "1") }),
		trick("an attribute with a long name", func(_ *target, s s) s { return s.xattr("g", "user."+long, "1") }),
		trick("an attribute with a NUL", func(_ *target, s s) s { return s.xattr("g", "user.x\x00security.y", "1") }),
		trick("an attribute of nothing known", func(_ *target, s s) s { return s.xattr("g", "nonsense.x", "1") }),
		trick("a compression that is none", func(_ *target, s s) s { return s.xattr("g", "btrfs.compression", "none of them") }),
		trick("a compression of a fifo", func(_ *target, s s) s { return s.xattr("fifo", "btrfs.compression", "none of them") }),
		trick("a link to nothing", func(_ *target, s s) s { return s.symlink("l", "") }),
		trick("a link with a NUL", func(_ *target, s s) s { return s.symlink("l", "a\x00b") }),
		trick("a link that is too long", func(_ *target, s s) s { return s.symlink("l", strings.Repeat("x", 4096)) }),

		// Commands that are none, or out of place.
		bare("no beginning", func(*target) s { return new(script) }),
		bare("another beginning", func(*target) s { s := new(script); s.WriteString("btrfs-streaM\x00\x01\x00\x00\x00"); return s }),
		bare("version 0", func(*target) s { return new(script).begin(0).end() }),
		bare("version 2", func(*target) s { return new(script).begin(2).end() }),
		bare("version 3", func(*target) s { return new(script).begin(3).end() }),
		bare("no subvolume", func(*target) s { return new(script).begin(1).end() }),
		bare("a command before the subvolume", func(p *target) s {
			s := new(script).begin(1).mkfile("early")
			s.Write(p.start().Bytes()[17:])
			return s.end()
		}),
		trick("two subvolumes", func(p *target, s s) s { s.Write(p.start().Bytes()[17:]); return s }),
		bare("a whole commit in place of a difference", func(p *target) s {
			return new(script).begin(1).do(cSubvol, attr{aPath, "x"}, attr{aUUID, p.guid}, attr{aCtransid, 7}).end()
		}),
		bare("another commit than its header says", func(p *target) s {
			return new(script).begin(1).do(cSnapshot, attr{aPath, "x"}, attr{aUUID, dotmesh.NewUUID()}, attr{aCtransid, 7},
				attr{aCloneUUID, p.from}, attr{aCloneCtransid, 6}).end()
		}),
		bare("a difference to another commit", func(p *target) s {
			return new(script).begin(1).do(cSnapshot, attr{aPath, "x"}, attr{aUUID, p.guid}, attr{aCtransid, 7},
				attr{aCloneUUID, p.secret}, attr{aCloneCtransid, 6}).end()
		}),
		bare("no end", func(p *target) s { return p.start().chmod("g", 0o600) }),
		bare("a command after the end", func(p *target) s { return p.start().end().chmod("g", 0o600) }),
		bare("a byte after the end", func(p *target) s { s := p.start().end(); s.WriteByte(0); return s }),
		bare("a stream after the end", func(p *target) s { s := p.start().end(); s.Write(p.start().end().Bytes()); return s }),
		bare("cut off in a command", func(p *target) s { s := p.start().chmod("g", 0o600); s.Truncate(s.Len() - 1); return s }),
		bare("a wrong checksum", func(p *target) s {
			s := p.start().chmod("g", 0o600)
			s.Bytes()[s.Len()-1] ^= 1
			return s.end()
		}),
		trick("an unknown command", func(_ *target, s s) s { return s.do(99) }),
		trick("command 0", func(_ *target, s s) s { return s.do(0) }),
		trick("a command of version 2", func(_ *target, s s) s { return s.do(24, attr{aPath, "g"}) }),
		trick("a command without data", func(_ *target, s s) s {
			return s.do(cUpdateExtent, attr{aPath, "g"}, attr{aFileOffset, 0}, attr{aSize, 4096})
		}),
		trick("a command of 4 GiB", func(_ *target, s s) s { return s.raw(cWrite, math.MaxUint32, nil) }),
		trick("a command that is too long", func(_ *target, s s) s { return s.raw(cWrite, 256<<10+1, make([]byte, 256<<10+1)) }),
		trick("an attribute that is too long", func(_ *target, s s) s {
			return s.raw(cUnlink, 6, []byte{aPath, 0, 0xff, 0xff, 'g', 'g'})
		}),
		trick("an attribute that is cut off", func(_ *target, s s) s { return s.raw(cUnlink, 3, []byte{aPath, 0, 1}) }),
		trick("an attribute twice", func(_ *target, s s) s { return s.do(cUnlink, attr{aPath, "g"}, attr{aPath, "d/f"}) }),
		trick("an attribute missing", func(_ *target, s s) s { return s.do(cRename, attr{aPath, "g"}) }),
		trick("an attribute too many", func(_ *target, s s) s { return s.do(cUnlink, attr{aPath, "g"}, attr{aPathTo, "h"}) }),
		trick("an unknown attribute", func(_ *target, s s) s { return s.do(cUnlink, attr{aPath, "g"}, attr{77, "h"}) }),
		trick("attribute 0", func(_ *target, s s) s { return s.do(cUnlink, attr{aPath, "g"}, attr{0, "h"}) }),
		trick("a number of 4 bytes", func(_ *target, s s) s { return s.do(cChmod, attr{aPath, "g"}, attr{aMode, []byte{1, 2, 3, 4}}) }),
		trick("a uuid of 15 bytes", func(p *target, s s) s {
			return s.do(cClone, attr{aPath, "g"}, attr{aFileOffset, 0}, attr{aCloneLen, 1}, attr{aCloneUUID, p.from[:15]},
				attr{aCloneCtransid, 1}, attr{aClonePath, "g"}, attr{aCloneOffset, 0})
		}),
		trick("an end with an attribute", func(_ *target, s s) s { return s.do(cEnd, attr{aPath, "g"}) }),
	}
	for name, path := range map[string]string{
		"up": "../made", "up in the middle": "d/../../made", "up at the end": "d/..", "just up": "..",
		"absolute": "/tmp/made", "a dot": "./made", "just a dot": ".", "an empty part": "d//made", "a slash at the end": "made/",
		"a NUL": "made\x00x", "a long part": long, "a long path": strings.Repeat("d/", 2048) + "x", "a path of 60 KiB": strings.Repeat("x/", 30<<10),
	} {
		list = append(list,
			trick("mkfile at a path with "+name, func(_ *target, s s) s { return s.mkfile(path) }),
			trick("rename to a path with "+name, func(_ *target, s s) s { return s.rename("g", path) }),
			trick("unlink at a path with "+name, func(_ *target, s s) s { return s.unlink(path) }),
			trick("chmod at a path with "+name, func(_ *target, s s) s { return s.chmod(path, 0o777) }),
			trick("clone from a path with "+name, func(p *target, s s) s { return s.clone("g", 0, p.from, path, 0, 4096) }),
		)
	}
	return list
}

// strange are refused when strangers send them.
func strange() []hostile {
	trick := func(name string, make func(s *script) *script) hostile {
		return hostile{name, dotmesh.Invalid, func(p *target) *script { return make(p.start()).end() }}
	}
	return []hostile{
		trick("a device", func(s *script) *script { return s.node(cMknod, "a", unix.S_IFCHR|0o666, 0x103) }),
		trick("a disk", func(s *script) *script { return s.node(cMknod, "a", unix.S_IFBLK|0o666, 0x700) }),
		trick("a new set-user-id program", func(s *script) *script { return s.mkfile("a").chmod("a", 0o4755) }),
		trick("a set-user-id program of what is there", func(s *script) *script { return s.chmod("g", 0o4755) }),
		trick("a set-group-id program", func(s *script) *script { return s.chmod("g", 0o2755) }),
		trick("other content of a set-user-id program", func(s *script) *script { return s.write("suid", 0, "mine") }),
		trick("other content of a linked set-user-id program", func(s *script) *script { return s.link("a", "suid").write("a", 0, "mine") }),
		trick("a shorter set-user-id program", func(s *script) *script { return s.truncate("suid", 1) }),
		trick("another owner of a set-user-id program", func(s *script) *script { return s.chown("suid", 1, 1) }),
		trick("a capability", func(s *script) *script { return s.xattr("g", "security.capability", strings.Repeat("\x01", 20)) }),
		trick("a security label", func(s *script) *script { return s.xattr("g", "security.selinux", "x") }),
		trick("root's own attribute", func(s *script) *script { return s.xattr("g", "trusted.x", "1") }),
		trick("our own attribute", func(s *script) *script { return s.xattr("", "trusted.dotmesh.x", "1") }),
		trick("another attribute of the system", func(s *script) *script { return s.xattr("g", "system.nfs4_acl", "1") }),
		trick("no capability", func(s *script) *script {
			return s.do(cRemoveXattr, attr{aPath, "g"}, attr{aXattrName, "security.capability"})
		}),
	}
}

func TestHostileStreamsAreRefused(t *testing.T) {
	p := newTarget(t)
	before := p.picture(t)
	refused := func(h hostile, trust dotmesh.Trust) {
		t.Run(h.name, func(t *testing.T) {
			err := p.send(t, h.make(p), trust)
			if !errors.Is(err, h.want) || dotmesh.Text(err) == "" {
				t.Errorf("err = %v, want %s", err, h.want)
			}
			if after := p.picture(t); after != before {
				t.Errorf("the pool or what lies around it was %s\nand is %s", before, after)
			}
		})
	}
	for _, h := range hostiles() {
		refused(h, dotmesh.Member)
	}
	for _, h := range strange() {
		refused(h, dotmesh.Stranger)
	}
	p.wantUsable(t)
}

// wantUsable checks that an honest stream is taken.
func (p *target) wantUsable(t *testing.T) {
	t.Helper()
	s := p.start().
		mkdir("o1").rename("o1", "dir").mkfile("o2").rename("o2", "dir/file").write("dir/file", 0, "content").
		chmod("dir/file", 0o640).chown("dir/file", 5, 6).utimes("dir/file", 7).
		write("fixed", 0, "changed").unlink("g").chown("suid", 1, 2).end()
	if err := p.send(t, s, dotmesh.Member); err != nil {
		t.Fatal(err)
	}
	want := t.TempDir()
	command(t, "cp", "-a", filepath.Join(p.top, "lines", childLine.String(), "commits", p.base.Commit.String())+"/.", want)
	command(t, "mkdir", filepath.Join(want, "dir"))
	write(t, filepath.Join(want, "dir/file"), "content")
	write(t, filepath.Join(want, "fixed"), "changed")
	moment := []unix.Timespec{{Nsec: 7}, {Nsec: 7}}
	err := errors.Join(
		os.Remove(filepath.Join(want, "g")), os.Chmod(filepath.Join(want, "dir"), 0o700),
		os.Chmod(filepath.Join(want, "dir/file"), 0o640), os.Chown(filepath.Join(want, "dir/file"), 5, 6),
		os.Chown(filepath.Join(want, "suid"), 1, 2), os.Chmod(filepath.Join(want, "suid"), 0o755|os.ModeSetuid),
		unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(want, "dir/file"), moment, 0),
	)
	if err != nil {
		t.Fatal(err)
	}
	got := filepath.Join(p.top, "lines", childLine.String(), "commits", p.guid.String())
	changes, err := dotmeshtest.DiffTrees(want, got)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.Path != "fixed" { // which has another time
			t.Errorf("difference: %+v", c)
		}
	}
}

// TestOddStreamsAreTaken sends what no kernel does, and what does no harm.
func TestOddStreamsAreTaken(t *testing.T) {
	for name, build := range map[string]func(p *target, s *script) *script{
		"a file of 8 EiB":                func(_ *target, s *script) *script { return s.truncate("g", math.MaxInt64) },
		"a write far out":                func(_ *target, s *script) *script { return s.write("g", far, "x") },
		"a clone far out":                func(p *target, s *script) *script { return s.clone("g", far, p.from, "g", 0, 4096) },
		"a clone that blocks do not fit": func(p *target, s *script) *script { return s.clone("g", 1, p.from, "g", 3, 5) },
		"a write of nothing":             func(_ *target, s *script) *script { return s.write("g", 5, "") },
		"a rename over a file":           func(_ *target, s *script) *script { return s.rename("g", "d/f") },
		"a new file over another":        func(_ *target, s *script) *script { return s.mkfile("o1").rename("o1", "d/f") },
		"nothing at all":                 func(_ *target, s *script) *script { return s },
		"a million commands": func(_ *target, s *script) *script {
			for i := range 1_000_000 {
				s.chmod("g", 0o600+i%8)
			}
			return s
		},
		"links to a path of 4,095 bytes": func(_ *target, s *script) *script { return s.symlink("l", strings.Repeat("x", 4095)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newTarget(t)
			if err := p.send(t, build(p, p.start()).end(), dotmesh.Member); err != nil {
				t.Error(err)
			}
			u, err := p.Pool(t.Context())
			if err != nil || u.Free < u.Size/2 {
				t.Errorf("pool = %+v, %v", u, err)
			}
		})
	}
}

// broken has the pool receive all of a script but its last bytes.
func (p *target) broken(t *testing.T, s *script) {
	t.Helper()
	stream := s.framed(t, p.header())
	_, err := p.Receive(t.Context(), dotmesh.RecvSpec{Line: childLine}, bytes.NewReader(stream[:len(stream)-20]))
	if !errors.Is(err, dotmesh.Unreachable) {
		t.Fatal(err)
	}
}

// TestABrokenStreamHoldsFewDescriptors: there may be one for each line.
func TestABrokenStreamHoldsFewDescriptors(t *testing.T) {
	p := newTarget(t)
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	s, before := p.start(), count()
	for i := range 20 {
		dir := fmt.Sprint("dir", i)
		s.mkdir(dir).mkfile(dir+"/f").clone(dir+"/f", 0, p.from, "d/f", 0, 6)
	}
	p.broken(t, s.end())
	if after := count(); after > before+2 { // the staging and the commit that it is the difference to
		t.Errorf("%d descriptors, and %d before", after, before)
	}
}

// TestAStreamOfClonesCanBeGivenUp cancels a stream whose 500 KB have the kernel copy 5 GB.
func TestAStreamOfClonesCanBeGivenUp(t *testing.T) {
	p := newTarget(t)
	s := p.start().truncate("g", 1<<40).mkfile("begun").write("begun", 0, "x")
	for range 5000 {
		s.clone("begun", 1, p.guid, "g", 3, 1<<20) // in no whole blocks, so that nothing is shared
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := p.Receive(ctx, dotmesh.RecvSpec{Line: childLine}, bytes.NewReader(s.end().framed(t, p.header())))
		done <- err
	}()
	begun := func() bool {
		found, err := filepath.Glob(filepath.Join(p.top, "lines", childLine.String(), "commits/.receive-*/begun"))
		return err != nil || len(found) > 0
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !begun() {
		<-tick.C
	}
	cancel()
	if err := <-done; !errors.Is(err, dotmesh.Canceled) {
		t.Errorf("err = %v, want Canceled", err)
	}
}

// TestAGuidIsNotForManyCommits sends commits that all say that they are the same.
func TestAGuidIsNotForManyCommits(t *testing.T) {
	p := newTarget(t)
	taken := 0
	var err error
	for ; err == nil && taken < 200; taken++ {
		if err = p.send(t, p.start().end(), dotmesh.Stranger); err == nil {
			p.base.Commit, p.from = p.id, p.guid
			p.id = dotmesh.CommitID{UUID: dotmesh.NewUUID()}
		}
	}
	if !errors.Is(err, dotmesh.Exists) || dotmesh.Text(err) == "" {
		t.Errorf("%d were taken, and then: %v", taken, err)
	}
	p.guid = dotmesh.NewUUID()
	if err := p.send(t, p.start().end(), dotmesh.Stranger); err != nil {
		t.Errorf("a commit with a guid of its own: %v", err)
	}
}
