package tui_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long anything is waited for that should happen by itself.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if part := os.Getenv(partVariable); part != "" {
		if err := play(part); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if dir, err := programs(); err == nil && os.RemoveAll(dir) != nil {
			code = 1
		}
		os.Exit(code)
	}))
}

// programs builds dm and dotmesh-server, once, and returns where they are.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "dt")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir+"/", "dotmesh.io/dotmesh/cmd/dm", "dotmesh.io/dotmesh/cmd/dotmesh-server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build: %w\n%s", err, out), os.RemoveAll(dir))
	}
	return dir, nil
})

// program returns the path of one of the two.
func program(t testing.TB, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// environment is what programs run with besides what a test adds: nothing of the user's.
func environment(t testing.TB, more ...string) []string {
	t.Helper()
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LANG=C.UTF-8", "TZ=UTC", "TERM=xterm-256color",
		"GORACE=atexit_sleep_ms=0",
	}, more...)
}

// await looks again and again until done says so, and reports whether it did in time.
func await(within time.Duration, done func() bool) bool {
	deadline := time.Now().Add(within)
	again := time.NewTicker(15 * time.Millisecond)
	defer again.Stop()
	for !done() {
		if time.Now().After(deadline) {
			return false
		}
		<-again.C
	}
	return true
}
