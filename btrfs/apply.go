//go:build linux

package btrfs

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// applier does to a subvolume what a stream's commands say. The subvolume is ours alone
// while it does: it lies below a directory that only root may enter, and is mounted
// nowhere. So what a path leads to changes only when a command says so, and descriptors
// may be kept from one command to the next.
type applier struct {
	dst   *beneath // the subvolume
	src   *beneath // the commit that the stream is the difference to; nil: to nothing
	trust dotmesh.Trust

	guid, fromGUID dotmesh.UUID // what the stream must say that it is, and is the difference to
	transid        uint64       // of what is sent, as its sender counts

	begun bool
	times []unix.Timespec // what the root's are in the end
	next  *creation       // an inode that was asked for, and is made once its final name is known
	file  held            // the one that was written to last
	from  held            // the one that was cloned from last
}

// held is a file whose descriptor is kept. The zero value is none.
type held struct {
	of   *beneath
	path string
	fd   int
}

func (f *held) is(of *beneath, path string) bool { return f.of == of && f.path == path }

func (f *held) close() {
	if f.of != nil {
		_ = unix.Close(f.fd) // what was written is checked when it is written out
		*f = held{}
	}
}

// creation is an inode to be made.
type creation struct {
	kind   uint16
	path   string
	mode   uint32
	device int
	target string // of a symbolic link
}

// close gives back the descriptors.
func (a *applier) close() {
	a.file.close()
	a.from.close()
	a.dst.close()
	if a.src != nil {
		a.src.close()
	}
}

// apply does one command.
func (a *applier) apply(c *command) error {
	err := a.do(c)
	if errors.Is(err, unix.EPERM) && a.unlock(c) {
		err = a.do(c)
	}
	if errors.Is(err, unix.EINVAL) && c.kind == cmdSetXattr && string(c.values[attrXattrName]) == compression {
		err = a.stopInPlace(string(c.values[attrPath]), err)
		if err == nil {
			err = a.do(c)
		}
	}
	return explain(c, err)
}

// explain says what a stream has to do with a kernel's error. What does not come from the
// pool itself comes from a stream that does not fit what is here.
func explain(c *command, err error) error {
	switch {
	case err == nil:
		return nil
	case dotmesh.KindOf(err) != dotmesh.Internal:
		return err
	}
	for _, own := range []error{
		unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS, unix.EUCLEAN, unix.ENOMEM, unix.EMFILE, unix.ENFILE,
	} {
		if errors.Is(err, own) {
			return fmt.Errorf("%s: %w", c, err)
		}
	}
	e := dotmesh.E("", dotmesh.Corrupt, "the stream does not fit what is here: it cannot %s; send the commit anew", c)
	e.Err = err
	return e
}

// do does one command, after what was left to do of the one before.
func (a *applier) do(c *command) error {
	if c.kind == cmdSubvol || c.kind == cmdSnapshot {
		return a.begin(c)
	}
	if !a.begun {
		return broken("a %s at its beginning", c)
	}
	if a.next != nil {
		if c.kind == cmdRename && string(c.values[attrPath]) == a.next.path {
			return a.createAs(c)
		}
		if err := a.create(a.next.path); err != nil {
			return err
		}
	}
	return a.commands(c)
}

func (a *applier) commands(c *command) error {
	switch c.kind {
	case cmdMkfile, cmdMkdir, cmdMknod, cmdMkfifo, cmdMksock, cmdSymlink:
		return a.announce(c)
	case cmdRename:
		return a.rename(c)
	case cmdLink:
		return a.link(c)
	case cmdUnlink:
		return a.remove(c, 0)
	case cmdRmdir:
		return a.remove(c, unix.AT_REMOVEDIR)
	case cmdSetXattr:
		return a.setXattr(c)
	case cmdRemoveXattr:
		return a.removeXattr(c)
	case cmdWrite:
		return a.write(c)
	case cmdClone:
		return a.clone(c)
	case cmdTruncate:
		return a.truncate(c)
	case cmdChmod:
		return a.chmod(c)
	case cmdChown:
		return a.chown(c)
	case cmdUtimes:
		return a.utimes(c)
	}
	return a.end()
}

// begin checks that the stream is what its header said. What it would call the subvolume
// does not matter.
func (a *applier) begin(c *command) error {
	switch {
	case a.begun:
		return broken("a second %s", c)
	case (c.kind == cmdSnapshot) != (a.src != nil):
		return broken("a %s, which is not what its header says", c)
	case c.uuid(attrUUID) != a.guid:
		return broken("another commit than its header says")
	case a.src != nil && c.uuid(attrCloneUUID) != a.fromGUID:
		return broken("the difference to another commit than its header says")
	}
	a.begun, a.transid = true, c.number(attrCtransid)
	var st unix.Stat_t
	err := unix.Fstat(int(a.dst.root.Fd()), &st)
	a.times = []unix.Timespec{st.Atim, st.Mtim}
	return err
}

// end gives the root its times: the kernel makes inodes there that it then moves, and says
// nothing of it.
func (a *applier) end() error {
	return unix.UtimesNanoAt(int(a.dst.root.Fd()), "", a.times, unix.AT_EMPTY_PATH)
}

// announce notes an inode that is to be made. The kernel makes it under a name of its own
// and then renames it; making it under its final name saves the renaming.
func (a *applier) announce(c *command) error {
	path, err := a.below(c, attrPath)
	if err != nil {
		return err
	}
	n := &creation{kind: c.kind, path: path, mode: 0o600}
	switch c.kind {
	case cmdMknod, cmdMkfifo, cmdMksock:
		if err := a.special(c, n); err != nil {
			return err
		}
	case cmdSymlink:
		target := c.values[attrPathLink]
		if len(target) == 0 || len(target) >= unix.PathMax || strings.IndexByte(string(target), 0) >= 0 {
			return broken("a symbolic link to nothing that can be")
		}
		n.target = string(target)
	}
	a.next = n
	return nil
}

// special checks what is neither file, directory nor link.
func (a *applier) special(c *command, n *creation) error {
	format := uint32(c.number(attrMode) & unix.S_IFMT)
	want := map[uint16][]uint32{
		cmdMknod: {unix.S_IFCHR, unix.S_IFBLK}, cmdMkfifo: {unix.S_IFIFO}, cmdMksock: {unix.S_IFSOCK},
	}
	fits := false
	for _, f := range want[c.kind] {
		fits = fits || f == format
	}
	if !fits || c.number(attrRdev) > math.MaxUint32 {
		return broken("a %s of mode %o", c, c.number(attrMode))
	}
	if c.kind == cmdMknod && a.trust == dotmesh.Stranger {
		return forbidden("the device file %.300q", n.path)
	}
	n.mode |= format
	n.device = int(c.number(attrRdev))
	return nil
}

func forbidden(format string, args ...any) error {
	return dotmesh.E("", dotmesh.Invalid, "the stream has "+format+", which is not taken from strangers; send it without", args...)
}

// createAs makes the announced inode under the name that a rename gives it.
func (a *applier) createAs(c *command) error {
	to, err := a.below(c, attrPathTo)
	if err != nil {
		return err
	}
	err = a.create(to)
	if errors.Is(err, unix.EEXIST) {
		if err := a.create(a.next.path); err != nil {
			return err
		}
		return a.rename(c)
	}
	return err
}

// create makes the announced inode. It is nobody else's business before a chmod says so.
func (a *applier) create(path string) error {
	dir, name, err := a.dst.parent(path)
	if err != nil {
		return err
	}
	n := a.next
	switch n.kind {
	case cmdMkfile:
		err = a.createFile(dir, name, path)
	case cmdMkdir:
		err = unix.Mkdirat(dir.fd, name, 0o700)
	case cmdSymlink:
		err = unix.Symlinkat(n.target, dir.fd, name)
	default:
		err = unix.Mknodat(dir.fd, name, n.mode, n.device)
	}
	if err == nil && dir.inherits && n.kind != cmdSymlink {
		err = disinherit(within(dir, name))
	}
	if err == nil {
		a.next = nil
	}
	return err
}

func (a *applier) createFile(dir directory, name, path string) error {
	fd, err := unix.Openat(dir.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	a.file.close()
	a.file = held{a.dst, path, fd}
	return nil
}

// within is a path for calls that take nothing else.
func within(dir directory, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(dir.fd) + "/" + name
}

// below returns a path that is not the root's.
func (a *applier) below(c *command, attr int) (string, error) {
	path, err := c.path(attr)
	if err == nil && path == "" {
		err = broken("a %s without a path", c)
	}
	return path, err
}

// place is a name in an open directory.
type place struct {
	directory
	name string
}

// places returns where two paths of a command lie.
func (a *applier) places(one, two string) (x, y place, err error) {
	if x.directory, x.name, err = a.dst.parent(one); err != nil {
		return x, y, err
	}
	if y.directory, y.name, err = a.dst.parent(two); err != nil {
		return x, y, err
	}
	x.directory, x.name, err = a.dst.parent(one) // opening the second may have closed the first
	return x, y, err
}

func (a *applier) rename(c *command) error {
	from, err1 := a.below(c, attrPath)
	to, err2 := a.below(c, attrPathTo)
	if err := join(err1, err2); err != nil {
		return err
	}
	a.forget(from)
	a.forget(to)
	x, y, err := a.places(from, to)
	if err != nil {
		return err
	}
	return unix.Renameat2(x.fd, x.name, y.fd, y.name, 0)
}

func (a *applier) link(c *command) error {
	path, err1 := a.below(c, attrPath)
	target, err2 := a.below(c, attrPathLink)
	if err := join(err1, err2); err != nil {
		return err
	}
	x, y, err := a.places(target, path)
	if err != nil {
		return err
	}
	return unix.Linkat(x.fd, x.name, y.fd, y.name, 0)
}

func (a *applier) remove(c *command, flags int) error {
	path, err := a.below(c, attrPath)
	if err != nil {
		return err
	}
	a.forget(path)
	dir, name, err := a.dst.parent(path)
	if err != nil {
		return err
	}
	return unix.Unlinkat(dir.fd, name, flags)
}

// forget lets go of what is known of a path that is about to lead elsewhere.
func (a *applier) forget(path string) {
	a.dst.moved(path)
	for _, f := range []*held{&a.file, &a.from} {
		if f.of == a.dst && isBelow(f.path, path) {
			f.close()
		}
	}
}

// writable returns a descriptor of a file that is to be changed.
func (a *applier) writable(path string) (int, error) {
	if a.file.is(a.dst, path) {
		return a.file.fd, nil
	}
	fd, st, err := a.dst.regular(path, unix.O_RDWR)
	if err != nil {
		return -1, err
	}
	a.file.close()
	if st.Mode&suidBits != 0 && a.trust == dotmesh.Stranger {
		return -1, join(forbidden("another content of the set-user-id program %.300q", path), unix.Close(fd))
	}
	a.file = held{a.dst, path, fd}
	return fd, nil
}

func (a *applier) write(c *command) error {
	path, err := a.below(c, attrPath)
	if err != nil {
		return err
	}
	fd, err := a.writable(path)
	if err != nil {
		return err
	}
	return writeAt(fd, c.values[attrData], c.number(attrFileOffset))
}

func writeAt(fd int, data []byte, at uint64) error {
	if at > math.MaxInt64-uint64(len(data)) {
		return broken("a write beyond the end of any file")
	}
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, int64(at))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		data, at = data[n:], at+uint64(n)
	}
	return nil
}

func (a *applier) truncate(c *command) error {
	path, err := a.below(c, attrPath)
	if err != nil {
		return err
	}
	size := c.number(attrSize)
	if size > math.MaxInt64 {
		return broken("a file of %d bytes", size)
	}
	fd, err := a.writable(path)
	if err != nil {
		return err
	}
	return unix.Ftruncate(fd, int64(size))
}

// clone makes a part of a file the same as a part of another one: of this subvolume, or of
// the commit that the stream is the difference to. Which of them is said by a uuid, and the
// two that are known are all that there are.
func (a *applier) clone(c *command) error {
	path, err := a.below(c, attrPath)
	if err != nil {
		return err
	}
	fromPath, err := a.below(c, attrClonePath)
	if err != nil {
		return err
	}
	of, err := a.cloneRoot(c)
	if err != nil {
		return err
	}
	to, from, length := c.number(attrFileOffset), c.number(attrCloneOffset), c.number(attrCloneLen)
	if length == 0 || length > maxClone || to > math.MaxInt64-length || from > math.MaxInt64-length {
		return broken("a %s of an impossible part", c)
	}
	if of == a.dst && path == fromPath && to < from+length && from < to+length {
		return broken("a %s of a part to itself", c)
	}
	fd, err := a.writable(path)
	if err != nil {
		return err
	}
	source, err := a.readable(of, fromPath)
	if err != nil {
		return err
	}
	return cloneRange(fd, source, int64(to), int64(from), int64(length))
}

// maxClone is far above the size of an extent, which is what the kernel's clones are of. Files
// can have so many that to clone a large one takes hours.
const maxClone = 1 << 30

func (a *applier) cloneRoot(c *command) (*beneath, error) {
	switch uuid := c.uuid(attrCloneUUID); {
	case uuid == a.guid:
		return a.dst, nil
	case a.src != nil && uuid == a.fromGUID:
		return a.src, nil
	}
	return nil, broken("a %s from a commit that it has nothing to do with", c)
}

// readable returns a descriptor of a file to clone from.
func (a *applier) readable(of *beneath, path string) (int, error) {
	if a.from.is(of, path) {
		return a.from.fd, nil
	}
	if a.file.is(of, path) {
		return a.file.fd, nil
	}
	fd, _, err := of.regular(path, unix.O_RDONLY)
	if err != nil {
		return -1, err
	}
	a.from.close()
	a.from = held{of, path, fd}
	return fd, nil
}

// cloneRange shares the bytes where the kernel can, and else copies them: files with
// other flags, or blocks of another size than the sender's, share nothing.
func cloneRange(fd, source int, to, from, length int64) error {
	err := unix.IoctlFileCloneRange(fd, &unix.FileCloneRange{
		Src_fd: int64(source), Src_offset: uint64(from), Src_length: uint64(length), Dest_offset: uint64(to),
	})
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(source, &st); err != nil {
		return err
	}
	if from+length > st.Size {
		return broken("a clone from beyond the end of a file")
	}
	return copyRange(fd, source, to, from, length)
}

func copyRange(fd, source int, to, from, length int64) error {
	buf := make([]byte, min(length, 1<<20))
	for length > 0 {
		n, err := unix.Pread(source, buf[:min(int64(len(buf)), length)], from)
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EIO
		}
		if err := writeAt(fd, buf[:n], uint64(to)); err != nil {
			return err
		}
		to, from, length = to+int64(n), from+int64(n), length-int64(n)
	}
	return nil
}

// found is what a path leads to, not followed if it is a symbolic link.
type found struct {
	place
	open bool // the descriptor is the inode's own
	stat unix.Stat_t
}

// find looks at what a command's path leads to.
func (a *applier) find(c *command) (f found, err error) {
	path, err := c.path(attrPath)
	if err != nil {
		return f, err
	}
	switch {
	case path == "":
		f.directory, err = a.dst.dir("")
		f.open = true
	case a.file.is(a.dst, path):
		f.fd, f.open = a.file.fd, true
	default:
		f.directory, f.name, err = a.dst.parent(path)
	}
	if err != nil {
		return f, err
	}
	return f, unix.Fstatat(f.fd, f.name, &f.stat, f.flags())
}

// flags are those that a call needs to act on the inode itself.
func (f *found) flags() int {
	if f.open {
		return unix.AT_EMPTY_PATH
	}
	return unix.AT_SYMLINK_NOFOLLOW
}

func (f *found) is(format uint32) bool { return f.stat.Mode&unix.S_IFMT == format }

func (f *found) chmod(mode uint32) error {
	if f.open {
		return unix.Fchmod(f.fd, mode)
	}
	return unix.Fchmodat(f.fd, f.name, mode, 0) // it is no link, and nobody makes it one
}

const (
	modeBits = 0o7777
	suidBits = unix.S_ISUID | unix.S_ISGID
)

func (a *applier) chmod(c *command) error {
	mode := c.number(attrMode)
	if mode&^modeBits != 0 {
		return broken("the mode %o", mode)
	}
	f, err := a.find(c)
	switch {
	case err != nil:
		return err
	case f.is(unix.S_IFLNK):
		return broken("a mode for a symbolic link")
	case mode&suidBits != 0 && !f.is(unix.S_IFDIR) && a.trust == dotmesh.Stranger:
		return forbidden("the set-user-id program %.300q", c.values[attrPath])
	}
	return f.chmod(uint32(mode))
}

// chown changes the owner and leaves the mode as it is: the kernel clears bits of it, and
// the stream has only what is different in the end.
func (a *applier) chown(c *command) error {
	uid, gid := c.number(attrUID), c.number(attrGID)
	if uid >= math.MaxUint32 || gid >= math.MaxUint32 {
		return broken("an owner %d:%d", uid, gid)
	}
	f, err := a.find(c)
	if err != nil {
		return err
	}
	if f.stat.Uid == uint32(uid) && f.stat.Gid == uint32(gid) {
		return nil
	}
	special := f.stat.Mode&suidBits != 0 && !f.is(unix.S_IFDIR) && !f.is(unix.S_IFLNK)
	if special && a.trust == dotmesh.Stranger {
		return forbidden("another owner for the set-user-id program %.300q", c.values[attrPath])
	}
	err = unix.Fchownat(f.fd, f.name, int(uid), int(gid), f.flags())
	if err == nil && special {
		err = f.chmod(f.stat.Mode & modeBits)
	}
	return err
}

func (a *applier) utimes(c *command) error {
	atime, err1 := c.time(attrAtime)
	mtime, err2 := c.time(attrMtime)
	if err := join(err1, err2); err != nil {
		return err
	}
	f, err := a.find(c)
	if err != nil {
		return err
	}
	times := []unix.Timespec{atime, mtime}
	if len(c.values[attrPath]) == 0 {
		a.times = times
	}
	return unix.UtimesNanoAt(f.fd, f.name, times, f.flags())
}

func (a *applier) setXattr(c *command) error {
	name, err := a.xattr(c)
	if err != nil {
		return err
	}
	f, err := a.find(c)
	if err != nil {
		return err
	}
	defer a.passOn(name)
	value := c.values[attrXattrData]
	if f.open {
		return unix.Fsetxattr(f.fd, name, value, 0)
	}
	return unix.Lsetxattr(within(f.directory, f.name), name, value, 0)
}

func (a *applier) removeXattr(c *command) error {
	name, err := a.xattr(c)
	if err != nil {
		return err
	}
	f, err := a.find(c)
	if err != nil {
		return err
	}
	defer a.passOn(name)
	if f.open {
		return unix.Fremovexattr(f.fd, name)
	}
	return unix.Lremovexattr(within(f.directory, f.name), name)
}

// passOn forgets what is known of directories, if an attribute was changed that they pass on.
func (a *applier) passOn(name string) {
	if name == defaultACL || name == compression {
		a.dst.close()
	}
}

// xattr returns the name of an attribute that may be set.
func (a *applier) xattr(c *command) (string, error) {
	name := string(c.values[attrXattrName])
	if name == "" || len(name) > unix.NAME_MAX || strings.IndexByte(name, 0) >= 0 {
		return "", broken("an attribute without a name that can be")
	}
	own := strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "btrfs.") || name == accessACL || name == defaultACL
	if !own && a.trust == dotmesh.Stranger {
		return "", forbidden("the attribute %.300q of %.300q", name, c.values[attrPath])
	}
	return name, nil
}

// unlock takes away what may keep files here from being changed, and reports whether to try
// again: the attributes "immutable" and "append only", which streams do not carry and the
// commit that this one is the difference to may have.
func (a *applier) unlock(c *command) (again bool) {
	paths := []string{}
	for _, attr := range []int{attrPath, attrPathTo, attrPathLink} {
		if path, err := c.path(attr); c.values[attr] != nil && err == nil {
			paths = append(paths, path)
		}
	}
	if a.next != nil {
		paths = append(paths, a.next.path)
	}
	if c.kind == cmdEnd {
		paths = append(paths, "") // the root gets its times then
	}
	for _, path := range paths {
		for _, p := range []string{path, path[:max(0, strings.LastIndexByte(path, '/'))]} {
			again = a.unlockPath(p) || again
		}
	}
	return again
}

func (a *applier) unlockPath(path string) bool {
	if path == "" {
		return makeMutable(a.dst.root) == nil
	}
	dir, name, err := a.dst.parent(path)
	var st unix.Stat_t
	if err != nil || unix.Fstatat(dir.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return false
	}
	if f := st.Mode & unix.S_IFMT; f != unix.S_IFREG && f != unix.S_IFDIR {
		return false
	}
	fd, err := unix.Openat(dir.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() //nolint:errcheck // only its flags are changed
	return makeMutable(f) == nil
}
