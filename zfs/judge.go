//go:build linux

package zfs

import (
	"context"
	"strings"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// judge looks at every file of a snapshot that a stranger has sent, mounted where nobody
// sees it, and refuses what is not taken from strangers. It trusts nothing that the stream
// could have made up: not the times of the inodes, and not that directories are a tree.
func judge(ctx context.Context, snapshot string) error {
	root, err := mountPrivately(snapshot, false)
	if err != nil {
		return err
	}
	j := &judgement{ctx: ctx, at: newCursor(root), seen: map[uint64]bool{}}
	var st unix.Stat_t
	err = unix.Fstat(int(root.Fd()), &st)
	if err == nil {
		j.seen[st.Ino] = true
		err = j.attributes("", root.Name(), self(root))
	}
	if err == nil {
		err = j.directory("")
	}
	return join(err, j.at.close())
}

type judgement struct {
	ctx  context.Context //nolint:containedctx // lives as long as one call
	at   *cursor
	seen map[uint64]bool // directories
}

func (j *judgement) directory(path string) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	entries, err := j.at.list()
	if err != nil {
		return err
	}
	for name, n := range entries {
		if err := j.file(path+name, n); err != nil {
			return err
		}
		if !n.isDir() {
			continue
		}
		if j.seen[n.Ino] {
			return spoilt("a directory that is in two places")
		}
		j.seen[n.Ino] = true
		if err := j.at.down(n); err != nil {
			return err
		}
		if err := j.directory(path + name + "/"); err != nil {
			return err
		}
		if err := j.at.up(); err != nil {
			return err
		}
	}
	return nil
}

func (j *judgement) file(path string, n *inode) error {
	switch {
	case n.is(unix.S_IFCHR), n.is(unix.S_IFBLK):
		return forbidden("the device file", path)
	case n.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 && !n.isDir():
		return forbidden("the set-user-id program", path)
	}
	f, err := j.at.openAt(n.name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	return join(j.attributes(path, f.Name(), self(f)), f.Close())
}

// attributes looks at the extended attributes of a file.
func (j *judgement) attributes(path, name, at string) error {
	names, err := listAttributes(name, at)
	for _, attribute := range names {
		switch {
		case strings.HasPrefix(attribute, "user."), attribute == "system.posix_acl_access", attribute == "system.posix_acl_default":
		default:
			err = join(err, forbidden("the attribute "+attribute+" of", path))
		}
	}
	return err
}

func forbidden(what, path string) error {
	return dotmesh.E("", dotmesh.Invalid, "the stream has %.300s %.300q, which is not taken from strangers; send it without", what, path)
}
