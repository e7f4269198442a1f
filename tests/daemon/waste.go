package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dotmesh.io/dotmesh/internal/mounts"
)

// Processes are those that were told of the folder, by their ids, with their command lines.
func (d *Daemon) Processes() (map[int][]string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	all := map[int][]string{}
	for _, path := range files {
		line, e := os.ReadFile(path)
		if e != nil || !strings.Contains(string(line), d.Dir+"/") {
			continue // it has just ended, or is not ours
		}
		pid, e := strconv.Atoi(strings.Split(path, "/")[2])
		err = errors.Join(err, e)
		all[pid] = strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
	}
	return all, err
}

// Unmount takes away what is mounted at or beneath a folder, the innermost first: a server
// leaves its mounts to the containers that use them.
func Unmount(dir string) error {
	entries, err := mounts.List(dir)
	for _, e := range slices.Backward(entries) {
		err = errors.Join(err, mounts.Unmount(context.Background(), e.Target))
	}
	return err
}

// Gone waits until nothing is left of the server, and returns what still is when ctx ends:
// mounts, loop devices on files of the folder, processes, and what the caller looks for.
func (d *Daemon) Gone(ctx context.Context, more ...func() ([]string, error)) (left []string, err error) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if left, err = d.leftovers(more); err != nil || len(left) == 0 {
			return left, err
		}
		select {
		case <-ctx.Done():
			return left, nil
		case <-again.C:
		}
	}
}

func (d *Daemon) leftovers(more []func() ([]string, error)) (left []string, err error) {
	for _, look := range append(more, d.mounts, d.loops, d.processes) {
		found, e := look()
		left, err = append(left, found...), errors.Join(err, e)
	}
	return left, err
}

func (d *Daemon) mounts() (left []string, err error) {
	entries, err := mounts.List(d.Dir)
	for _, e := range entries {
		left = append(left, "mount "+e.Target)
	}
	return left, err
}

func (d *Daemon) loops() (left []string, err error) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, path := range files {
		if file, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(file), d.Dir+"/") {
			left = append(left, "loop device "+strings.Split(path, "/")[3])
		}
	}
	return left, err
}

func (d *Daemon) processes() (left []string, err error) {
	all, err := d.Processes()
	for pid, line := range all {
		left = append(left, "process "+strconv.Itoa(pid)+": "+strings.Join(line, " "))
	}
	return left, err
}
