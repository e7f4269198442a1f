//go:build linux

package zfs

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// judge looks at every file of a snapshot that a stranger has sent, mounted where nobody
// sees it, and refuses what is not taken from strangers. It trusts nothing that the stream
// could have made up: not the times of the inodes, and not that directories are a tree.
func judge(ctx context.Context, snapshot string) error {
	root, err := mountPrivately(ctx, snapshot, false)
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
		err = j.directory()
	}
	return join(err, j.at.close())
}

type judgement struct {
	ctx  context.Context //nolint:containedctx // lives as long as one call
	at   *cursor
	way  []string        // the names that lead there: a path for each directory on it would be too much
	seen map[uint64]bool // directories
}

func (j *judgement) directory() error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	entries, err := j.at.list()
	if err != nil {
		return err
	}
	for name, n := range entries {
		if err := j.file(name, n); err != nil {
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
		j.way = append(j.way, name)
		if err := j.directory(); err != nil {
			return err
		}
		j.way = j.way[:len(j.way)-1]
		if err := j.at.up(); err != nil {
			return err
		}
	}
	return nil
}

func (j *judgement) file(name string, n *inode) error {
	switch {
	case n.is(unix.S_IFCHR), n.is(unix.S_IFBLK):
		return j.forbidden("the device file", name)
	case n.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 && !n.isDir():
		return j.forbidden("the set-user-id program", name)
	}
	f, err := j.at.openAt(n.name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	return join(j.attributes(name, f.Name(), self(f)), f.Close())
}

// attributes looks at the extended attributes of a file of the directory.
func (j *judgement) attributes(file, name, at string) error {
	names, err := listAttributes(name, at)
	for _, attribute := range names {
		switch {
		case strings.HasPrefix(attribute, "user."), attribute == "system.posix_acl_access", attribute == "system.posix_acl_default":
		default:
			err = join(err, j.forbidden("the attribute "+attribute+" of", file))
		}
	}
	return err
}

// forbidden is the error of a file of the directory.
func (j *judgement) forbidden(what, file string) error {
	path := strings.Join(append(slices.Clone(j.way), file), "/")
	return dotmesh.E("", dotmesh.Invalid, "the stream has %.300s %.300q, which is not taken from strangers; send it without", what, path)
}
