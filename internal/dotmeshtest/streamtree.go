package dotmeshtest

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// compareTrees reads two trees, the roots too, and says in what they differ: everything
// that a file system keeps of its files but inode numbers, the time of the last look and
// the time of the last change of the inode.
func compareTrees(here, there string) (differences []string, err error) {
	a, err1 := readTree(here)
	b, err2 := readTree(there)
	x, err3 := readEntry(here)
	y, err4 := readEntry(there)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	a["."], b["."] = x, y
	for path := range a {
		if b[path] == nil {
			differences = append(differences, fmt.Sprintf("%q is here and not there", path))
		}
	}
	namesA, namesB := names(a), names(b)
	for path, there2 := range b {
		here2 := a[path]
		if here2 == nil {
			differences = append(differences, fmt.Sprintf("%q is there and not here", path))
			continue
		}
		if d := compareEntries(here2, there2); d != "" {
			differences = append(differences, fmt.Sprintf("%q: %s", path, d))
		}
		if !slices.Equal(namesA[here2.stat.Ino], namesB[there2.stat.Ino]) {
			differences = append(differences, fmt.Sprintf("%q is called %q here and %q there", path, namesA[here2.stat.Ino], namesB[there2.stat.Ino]))
		}
		if here2.is(unix.S_IFREG) && there2.is(unix.S_IFREG) {
			same, err := sameContent(filepath.Join(here, path), filepath.Join(there, path))
			if err != nil {
				return nil, err
			}
			if !same {
				differences = append(differences, fmt.Sprintf("%q has other content", path))
			}
		}
	}
	return differences, nil
}

// names returns the paths of each inode.
func names(tree map[string]*treeEntry) map[uint64][]string {
	all := map[uint64][]string{}
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		all[tree[path].stat.Ino] = append(all[tree[path].stat.Ino], path)
	}
	return all
}

func compareEntries(a, b *treeEntry) string {
	x, y := &a.stat, &b.stat
	switch {
	case x.Mode != y.Mode:
		return fmt.Sprintf("mode %o and %o", x.Mode, y.Mode)
	case x.Uid != y.Uid, x.Gid != y.Gid:
		return fmt.Sprintf("owner %d:%d and %d:%d", x.Uid, x.Gid, y.Uid, y.Gid)
	case x.Rdev != y.Rdev:
		return fmt.Sprintf("device %x and %x", x.Rdev, y.Rdev)
	case a.size() != b.size():
		return fmt.Sprintf("size %d and %d", a.size(), b.size())
	case x.Mtim != y.Mtim:
		return fmt.Sprintf("time %v and %v", x.Mtim, y.Mtim)
	case a.target != b.target:
		return fmt.Sprintf("target %q and %q", a.target, b.target)
	case !maps.Equal(a.xattrs, b.xattrs):
		return fmt.Sprintf("attributes %q and %q", a.xattrs, b.xattrs)
	}
	return ""
}
