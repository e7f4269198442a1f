//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
	"golang.org/x/sys/unix"
)

// maxRounds bounds how often [Holders] looks again for processes that were born meanwhile.
const maxRounds = 8

// FS identifies a file system, or a subvolume of one, also after it was unmounted here.
type FS struct {
	Dev   uint64 // what stat says of its files; every btrfs subvolume has its own
	Super uint64 // what mount tables say of it
	Root  string // where in the superblock it begins
}

// Identify returns what the directory at path belongs to: the file system mounted there,
// or the subvolume, dataset or plain directory that path is inside a mounted one.
func Identify(dir string) (FS, error) {
	const op = "mounts.Identify"
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return FS{}, dotmesh.Wrap(op, &fs.PathError{Op: "open", Path: dir, Err: err})
	}
	defer unix.Close(fd)
	link := "/proc/self/fd/" + strconv.Itoa(fd)
	real, err := os.Readlink(link)
	if err != nil {
		return FS{}, dotmesh.Wrap(op, err)
	}
	spot, err := locate(link)
	if err != nil {
		return FS{}, dotmesh.Wrap(op, err)
	}
	entries, err := List("/")
	if err != nil {
		return FS{}, dotmesh.Wrap(op, err)
	}
	m := find(entries, spot.mount)
	if m == nil || !beneath(real, m.Target) {
		return FS{}, dotmesh.E(op, dotmesh.NotFound, "%s is not inside any mount of this mount namespace", dir)
	}
	rest := strings.TrimPrefix(real, m.Target)
	return FS{Dev: spot.dev, Super: m.Dev, Root: path.Join(m.Root, rest)}, nil
}

// holds reports whether e mounts this file system or a directory of it.
func (f FS) holds(e *Entry) bool { return e.Dev == f.Super && beneath(e.Root, f.Root) }

// Holder is a process that can reach a file system.
type Holder struct {
	PID     int
	Command string
	Mount   string // where it is mounted in the process's mount namespace, or empty
	Open    string // the file, program or directory it has open there, or empty
}

// String is what a user is told of a holder, such as "pid 812 (postgres) has /x/log open".
func (h Holder) String() string {
	if h.Open != "" {
		return fmt.Sprintf("pid %d (%s) has %s open", h.PID, h.Command, h.Open)
	}
	return fmt.Sprintf("pid %d (%s) has it mounted at %s", h.PID, h.Command, h.Mount)
}

// Holders returns who holds file system f: for each mount namespace that has a process
// every mount of f or of a directory in it, with the lowest process id in that namespace;
// and each process that has something of f open, mapped, running, or as its working or
// root directory. Left out are the mounts at own, in our own mount namespace, and the
// copies of them that the kernel made in others and will take away together with them.
//
// What begins while it looks may be missed, so take away what it could begin from first:
// after Unmount, an empty answer means that no process can write. Not seen are mount
// namespaces without a process and, in a container, processes of other pid namespaces.
// A process that cannot be looked into is [dotmesh.Denied], never "holds nothing"; only
// of init, which hardened systems close to everybody, the mount table has to do.
func Holders(ctx context.Context, f FS, own ...string) ([]Holder, error) {
	const op = "mounts.Holders"
	entries, err := List("/")
	if err != nil {
		return nil, dotmesh.Wrap(op, err)
	}
	s := newScan(func(where spot) bool { return where.dev == f.Dev }, f.holds)
	for i, e := range entries {
		if slices.Contains(own, e.Target) {
			s.spare(&entries[i], entries)
		}
	}
	found, err := s.search(ctx)
	return found, dotmesh.Wrap(op, err)
}

// inUse makes the Busy error of a mount that cannot be unmounted.
func inUse(ctx context.Context, op string, e *Entry) error {
	below, err := List(e.Target)
	if err != nil {
		return dotmesh.Wrap(op, err)
	}
	for _, b := range below {
		if b.Target != e.Target {
			return dotmesh.E(op, dotmesh.Busy, "%s is in use: %s is mounted beneath it; unmount that first", e.Target, b.Target)
		}
	}
	holders, err := users(ctx, e)
	if err != nil {
		return dotmesh.Wrap(op, err)
	}
	if len(holders) == 0 {
		return dotmesh.E(op, dotmesh.Busy, "%s is in use, though not by any process: look for a loop device, swap file or socket on it", e.Target)
	}
	return dotmesh.E(op, dotmesh.Busy, "%s is in use: %s; stop it first", e.Target, Describe(holders))
}

// users returns who uses the mount e itself or, if nobody does, one of its copies.
func users(ctx context.Context, e *Entry) ([]Holder, error) {
	s := newScan(func(where spot) bool { return where.mount == e.ID }, func(*Entry) bool { return false })
	holders, err := s.search(ctx)
	if err != nil || len(holders) > 0 {
		return holders, err
	}
	f, err := Identify(e.Target)
	if err != nil {
		return nil, err
	}
	return Holders(ctx, f, e.Target)
}

// Describe names the first few holders in one line.
func Describe(holders []Holder) string {
	const most = 3
	var texts []string
	for _, h := range holders[:min(most, len(holders))] {
		texts = append(texts, h.String())
	}
	line := strings.Join(texts, ", ")
	if more := len(holders) - most; more > 0 {
		line += fmt.Sprintf(" and %d more", more)
	}
	return line
}

// spot is where something that a process holds lies.
type spot struct{ dev, mount uint64 }

// locate returns where the thing behind a link of /proc lies, without asking a server
// that may not answer.
func locate(link string) (spot, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, link, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &st)
	if err != nil {
		return spot{}, &fs.PathError{Op: "statx", Path: link, Err: err}
	}
	return spot{dev: unix.Mkdev(st.Dev_major, st.Dev_minor), mount: st.Mnt_id}, nil
}

// scan is one look at all processes.
type scan struct {
	wanted      func(spot) bool
	wantedMount func(*Entry) bool
	processes   map[int]bool    // looked into
	spaces      map[string]bool // mount namespaces whose table was read
	mounts      map[uint64]bool // by id: reported already, or not to be
	copies      map[copied]bool // what is a copy of a mount that is not to be reported
	found       []Holder
}

func newScan(wanted func(spot) bool, wantedMount func(*Entry) bool) *scan {
	return &scan{
		wanted: wanted, wantedMount: wantedMount,
		processes: map[int]bool{}, spaces: map[string]bool{}, mounts: map[uint64]bool{}, copies: map[copied]bool{},
	}
}

// copied is what all copies of a mount have in common: what they show, and that their
// parents belong to one group or get copies from it. A container's bind mount of the same
// directory has another parent.
type copied struct {
	group, dev uint64
	root       string
}

// spare leaves e out, and its copies. entries is the table that e is from.
func (s *scan) spare(e *Entry, entries []Entry) {
	s.mounts[e.ID] = true
	if parent := find(entries, e.Parent); parent != nil && parent.Shared != 0 {
		s.copies[copied{parent.Shared, e.Dev, e.Root}] = true
	}
}

// spared reports whether e, from the table entries, is to be left out.
func (s *scan) spared(e *Entry, entries []Entry) bool {
	parent := find(entries, e.Parent)
	return s.mounts[e.ID] || parent != nil &&
		(s.copies[copied{parent.Shared, e.Dev, e.Root}] || s.copies[copied{parent.Master, e.Dev, e.Root}])
}

func find(entries []Entry, id uint64) *Entry {
	if i := slices.IndexFunc(entries, func(e Entry) bool { return e.ID == id }); i >= 0 {
		return &entries[i]
	}
	return nil
}

// search looks into every process once, and then into those that were born meanwhile: a
// child may have taken over what its parent held.
func (s *scan) search(ctx context.Context) ([]Holder, error) {
	for range maxRounds {
		fresh, err := s.round(ctx)
		if err != nil {
			return nil, err
		}
		if fresh == 0 {
			break
		}
	}
	return s.found, nil
}

// round looks into the processes that it has not seen before and says how many they were.
func (s *scan) round(ctx context.Context) (fresh int, err error) {
	names, err := readNames("/proc")
	if err != nil {
		return 0, err
	}
	for _, pid := range numbers(names) {
		if s.processes[pid] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fresh, err
		}
		s.processes[pid] = true
		fresh++
		if err := s.process(pid); err != nil && !vanished(err) {
			return fresh, unseen(pid, err)
		}
	}
	return fresh, nil
}

func (s *scan) process(pid int) error {
	dir := "/proc/" + strconv.Itoa(pid)
	names, err := readNames(dir + "/task")
	if err != nil {
		return err
	}
	threads := numbers(names)
	for _, tid := range threads {
		if err := s.table(pid, dir+"/task/"+strconv.Itoa(tid)); err != nil && !vanished(err) {
			return err
		}
	}
	err = s.files(pid, dir, threads)
	if pid == 1 && errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// table looks at the mount table of a thread, once for each mount namespace that can be
// told from others.
func (s *scan) table(pid int, thread string) error {
	space, err := os.Readlink(thread + "/ns/mnt")
	if err == nil && s.spaces[space] {
		return nil
	}
	entries, err := table(thread + "/mountinfo")
	if err != nil {
		return err
	}
	s.spaces[space] = true
	for i, e := range entries {
		if s.wantedMount(&entries[i]) && !s.spared(&entries[i], entries) {
			s.mounts[e.ID] = true
			s.found = append(s.found, Holder{PID: pid, Command: command(pid), Mount: e.Target})
		}
	}
	return nil
}

// files looks at what a process has open, mapped and running. Its threads share that,
// and may differ in working and root directory.
func (s *scan) files(pid int, dir string, threads []int) error {
	var links []string
	for _, kind := range []string{"/fd/", "/map_files/"} {
		names, err := readNames(dir + kind)
		if err != nil && !vanished(err) {
			return err
		}
		for _, name := range names {
			links = append(links, dir+kind+name)
		}
	}
	links = append(links, dir+"/exe")
	for _, tid := range threads {
		thread := dir + "/task/" + strconv.Itoa(tid)
		links = append(links, thread+"/cwd", thread+"/root")
	}
	return s.links(pid, links)
}

// links adds the process once, with the first of its links that leads to what is wanted.
func (s *scan) links(pid int, links []string) error {
	for _, link := range links {
		where, err := locate(link)
		if vanished(err) {
			continue
		}
		if err != nil {
			return err
		}
		if s.wanted(where) {
			name, err := os.Readlink(link)
			if err != nil {
				name = path.Base(link)
			}
			s.found = append(s.found, Holder{PID: pid, Command: command(pid), Open: name})
			return nil
		}
	}
	return nil
}

// command returns a process's short name, as ps has it.
func command(pid int) string {
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return "gone"
	}
	return strings.TrimSuffix(string(name), "\n")
}

// vanished reports whether err only says that a process, thread or file is gone or was
// never there: a kernel thread has no program, a zombie no mount table.
func vanished(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL)
}

func unseen(pid int, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		e := dotmesh.E("", dotmesh.Denied, "cannot see what pid %d (%s) holds; run as root with CAP_SYS_PTRACE and CAP_SYS_ADMIN", pid, command(pid))
		e.Err = err
		return e
	}
	return fmt.Errorf("look into pid %d: %w", pid, err)
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// numbers returns the names that are numbers, in order.
func numbers(names []string) []int {
	var list []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list
}
