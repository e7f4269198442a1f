//go:build linux

// Package mounts knows what is mounted where on this machine and who uses it.
//
// The kernel's own account is the only truth it has: nothing is remembered between calls.
// [List] reads the mount table of our own mount namespace. [Mount], [Bind] and [Unmount]
// change it and may be repeated. [Holders] goes through every process, and so through
// every mount namespace that has one, and finds who can still reach a file system; it is
// what proves that nobody does where the file system itself cannot stop a writer.
//
// Nothing here unmounts lazily or by force: what is in use stays, and its user is named.
package mounts

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
	"golang.org/x/sys/unix"
)

const (
	// maxLine is far above what the kernel writes: three paths of 4 KiB, every byte escaped.
	maxLine = 256 << 10
	// maxEntries is above the kernel's own default limit of mounts in a namespace, 100,000.
	maxEntries = 1 << 20
)

// Entry is one mount, as a line of /proc/<pid>/mountinfo tells it.
type Entry struct {
	ID      uint64 // unique on this machine while the mount lives
	Parent  uint64
	Dev     uint64 // of the superblock: all subvolumes of one btrfs share it
	Root    string // what of the superblock is mounted: a subvolume, a directory, "/" for all
	Target  string // the mount point, as seen from the process's root
	Options string // of this mount, such as "rw,nosuid,noatime"
	Shared  uint64 // the group of mounts that what is mounted below it is copied to and from; 0: none
	Master  uint64 // the group that it gets copies from, and gives none; 0: none
	FSType  string
	Source  string // may be empty
	Super   string // options of the superblock, such as "rw,subvolid=256,subvol=/a"
}

// ReadOnly reports whether nothing can be written through this mount.
func (e *Entry) ReadOnly() bool { return option(e.Options, "ro") == "ro" }

// List returns the mounts of our own mount namespace at or beneath prefix, parents first.
// The prefix is compared as it stands, without symbolic links being followed.
func List(prefix string) ([]Entry, error) {
	all, err := table("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var under []Entry
	for _, e := range all {
		if beneath(e.Target, filepath.Clean(prefix)) {
			under = append(under, e)
		}
	}
	return under, nil
}

func table(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, dotmesh.Wrap("mounts.table", err)
	}
	defer f.Close()
	return Parse(f)
}

// Parse reads a mount table in the format of /proc/<pid>/mountinfo. A line that it cannot
// read is [dotmesh.Corrupt], since an entry left out might be the one that matters.
func Parse(r io.Reader) ([]Entry, error) {
	var entries []Entry
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	lines.Split(scanLine)
	for lines.Scan() {
		e, ok := parseLine(lines.Text())
		if !ok || len(entries) == maxEntries {
			return nil, dotmesh.E("mounts.Parse", dotmesh.Corrupt, "line %d of the mount table cannot be read", len(entries)+1)
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return nil, dotmesh.Wrap("mounts.Parse", err)
	}
	return entries, nil
}

// scanLine is bufio.ScanLines, but leaves a carriage return alone: it may end a path.
func scanLine(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := strings.IndexByte(string(data), '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// parseLine reads "id parent major:minor root target options [tag…] - type source super".
// Fields are split at single spaces, because the source may be empty.
func parseLine(line string) (Entry, bool) {
	mount, file, found := strings.Cut(line, " - ")
	left := strings.Split(mount, " ")
	right := strings.SplitN(file, " ", 3)
	if !found || len(left) < 6 || len(right) != 3 {
		return Entry{}, false
	}
	id, err1 := strconv.ParseUint(left[0], 10, 64)
	parent, err2 := strconv.ParseUint(left[1], 10, 64)
	dev, ok := parseDev(left[2])
	if err1 != nil || err2 != nil || !ok {
		return Entry{}, false
	}
	shared, ok1 := group(left[6:], "shared:")
	master, ok2 := group(left[6:], "master:")
	return Entry{
		ID: id, Parent: parent, Dev: dev,
		Root: unescape(left[3]), Target: unescape(left[4]), Options: unescape(left[5]),
		Shared: shared, Master: master,
		FSType: unescape(right[0]), Source: unescape(right[1]), Super: unescape(right[2]),
	}, ok1 && ok2
}

// group returns the number of the tag that begins with prefix, 0 if there is none. Tags
// that nobody knows yet are no fault.
func group(tags []string, prefix string) (uint64, bool) {
	for _, tag := range tags {
		if number, ok := strings.CutPrefix(tag, prefix); ok {
			n, err := strconv.ParseUint(number, 10, 64)
			return n, err == nil
		}
	}
	return 0, true
}

func parseDev(s string) (uint64, bool) {
	major, minor, found := strings.Cut(s, ":")
	a, err1 := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	return unix.Mkdev(uint32(a), uint32(b)), found && err1 == nil && err2 == nil
}

// unescape turns the kernel's \ooo back into bytes. A backslash that begins no such
// escape stands for itself.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// beneath reports whether path is dir or below it.
func beneath(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// option returns the option called name of a comma-separated list, as it stands there, or
// the empty string.
func option(list, name string) string {
	for o := range strings.SplitSeq(list, ",") {
		if key, _, _ := strings.Cut(o, "="); key == name {
			return o
		}
	}
	return ""
}
