package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is what a reader must know of where the figures come from.
type machine struct {
	When   time.Time `json:"when"`
	CPU    string    `json:"cpu"`
	Cores  int       `json:"cores"`
	Memory int64     `json:"memory"` // bytes
	Kernel string    `json:"kernel"`
	Disk   string    `json:"disk"` // the file system that holds the pools' files
	Btrfs  string    `json:"btrfs"`
	Rsync  string    `json:"rsync"`
	Go     string    `json:"go"`
	Load   float64   `json:"load"` // in the minute before
}

func thisMachine(ctx context.Context, dir string) (machine, error) {
	m := machine{When: time.Now().UTC(), Cores: runtime.NumCPU(), Go: runtime.Version(), CPU: cpuModel()}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return m, err
	}
	m.Kernel = unix.ByteSliceToString(name.Release[:])
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return m, err
	}
	m.Memory = int64(info.Totalram) * int64(info.Unit)
	var err error
	if m.Disk, err = fileSystem(dir); err != nil {
		return m, err
	}
	if m.Btrfs, err = firstLine(ctx, "btrfs", "--version"); err != nil {
		return m, err
	}
	if m.Rsync, err = firstLine(ctx, "rsync", "--version"); err != nil {
		return m, err
	}
	m.Load, err = loadAverage()
	return m, err
}

func (m *machine) facts() []string {
	quiet := "quiet"
	if m.Load > float64(m.Cores)/4 {
		quiet = "**busy**: read the absolute rows as upper bounds"
	}
	return []string{
		fmt.Sprintf("%s, %d cores, %.0f GiB of memory", m.CPU, m.Cores, float64(m.Memory)/(1<<30)),
		fmt.Sprintf("Linux %s, pools in sparse files on %s, through loop devices with direct I/O", m.Kernel, m.Disk),
		fmt.Sprintf("%s, %s, %s", m.Go, m.Btrfs, m.Rsync),
		fmt.Sprintf("%s, load %.1f before the run: %s", m.When.Format(time.DateOnly), m.Load, quiet),
	}
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// fileSystem names the kind of file system that dir is on.
func fileSystem(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", err
	}
	kinds := map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.XFS_SUPER_MAGIC: "xfs", unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}
	if kind, ok := kinds[st.Type]; ok {
		return kind, nil
	}
	return fmt.Sprintf("a file system of type %#x", st.Type), nil
}

func firstLine(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return strings.Join(strings.Fields(string(line)), " "), nil
}

// loadAverage is how many processes wanted to run in the last minute.
func loadAverage() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	return strconv.ParseFloat(first, 64)
}
