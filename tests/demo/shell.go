package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// shell runs dm as a person would and prints what a person would see, and how long it took.
type shell struct {
	out     io.Writer
	program string
	env     []string
	dir     string
	scenes  int
}

// newShell has a dm that knows no server but one, and no config but its own, in dir.
func newShell(out io.Writer, program, server, dir string) *shell {
	return &shell{out: out, program: program, dir: dir, env: append(os.Environ(),
		"DM_HOST="+server, "DM_CONFIG="+filepath.Join(dir, "dm-config"), "HOME="+dir, "NO_COLOR=1")}
}

// dm runs a command and prints what it says.
func (s *shell) dm(ctx context.Context, args ...string) error {
	_, err := s.dmValue(ctx, args...)
	return err
}

// dmValue is dm for a command that prints a value, which it returns.
func (s *shell) dmValue(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Env = s.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	s.line("$ "+command("dm", args), time.Since(began))
	for line := range strings.Lines(stdout.String() + stderr.String()) {
		s.printf("%s\n", strings.TrimRight("      "+strings.ReplaceAll(line, s.dir, "…"), " \n"))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", command("dm", args), err)
	}
	return strings.TrimSpace(stdout.String()), nil
}

func (s *shell) scene(title string) {
	s.scenes++
	s.printf("\n%2d  %s\n", s.scenes, title)
}

// line prints what was done and how long it took.
func (s *shell) line(text string, took time.Duration) {
	const width = 76
	text = strings.ReplaceAll(text, s.dir, "…")
	if len(text) > width {
		s.printf("    %s\n", text)
		text = ""
	}
	s.printf("    %-*s %9s\n", width, text, short(took))
}

func (s *shell) verdict(format string, args ...any) { s.printf("    > "+format+"\n", args...) }

func (s *shell) printf(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

// command writes a command line as it would be typed.
func command(name string, args []string) string {
	line := name
	for _, a := range args {
		if strings.ContainsAny(a, " ^") {
			a = "'" + a + "'"
		}
		line += " " + a
	}
	return line
}

// short rounds a duration to what a reader wants to know of it.
func short(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	if d < 10*time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
