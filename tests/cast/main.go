// Command cast records docs/ui.cast: a tour of the terminal UI on the cluster that dm ui
// --demo has in memory, as an asciicast (version 2), which asciinema plays.
//
// It runs the real program on a terminal of its own, types as a person would, and writes
// what the program sends and when. make cast runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
)

const (
	columns, rows = 120, 32
	between       = 700 * time.Millisecond // keys of the tour
	typing        = 70 * time.Millisecond  // letters of a word
)

// tour is what is typed: keys, or after a space a text letter by letter. An empty one is a
// look around.
var tour = []string{
	"", "j", "j", "j", "j", "\t", "\t", "j", "j", "", // a dot, its branches, its commits
	"c", " before the sale", "\x13", "", // commit
	"b", " try-it", "\t", "\x13", "", // branch
	"2", "", "3", "", "", "4", "", "5", "", "6", "", // the other screens
	"1", "?", "", "\x1b", ":", " fix", "", "\x1b", // help, palette
	"/", " pay", "\r", "", "\x1b", "q",
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: cast DM FILE")
		os.Exit(2)
	}
	if err := record(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "cast:", err)
		os.Exit(1)
	}
}

func record(dm, path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	home, err := os.MkdirTemp("", "dotmesh-cast-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(home) }() // it is empty
	cmd := exec.CommandContext(ctx, dm, "ui", "--demo")
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "COLORTERM=truecolor", "HOME="+home, "NO_COLOR=")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: columns})
	if err != nil {
		return err
	}
	typed := make(chan error, 1)
	go func() { typed <- play(ctx, terminal) }()
	cast, err := collect(terminal)
	err = errors.Join(err, <-typed, cmd.Wait(), terminal.Close())
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(cast), 0o644)
}

// play types the tour.
func play(ctx context.Context, w io.Writer) error {
	for _, keys := range tour {
		if !pause(ctx, between) {
			return ctx.Err()
		}
		text, word := strings.CutPrefix(keys, " ")
		for _, r := range text {
			if word && !pause(ctx, typing) {
				return ctx.Err()
			}
			if _, err := io.WriteString(w, string(r)); err != nil {
				return err
			}
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// wholeText is how much of b ends with a whole character.
func wholeText(b []byte) int {
	for n := len(b); n > max(len(b)-utf8.UTFMax, 0); n-- {
		if utf8.RuneStart(b[n-1]) {
			if utf8.FullRune(b[n-1:]) {
				return len(b)
			}
			return n - 1
		}
	}
	return len(b)
}

// collect writes down what comes, until the program has ended.
func collect(r io.Reader) (string, error) {
	var cast strings.Builder
	fmt.Fprintf(&cast, `{"version": 2, "width": %d, "height": %d, "title": "dm ui --demo"}`+"\n", columns, rows)
	began := time.Now()
	block, begun := make([]byte, 64<<10), 0 // bytes of a character that has not come whole
	for {
		n, err := r.Read(block[begun:])
		whole := wholeText(block[:begun+n])
		if whole > 0 {
			text, jsonErr := json.Marshal(string(block[:whole]))
			if jsonErr != nil {
				return "", jsonErr
			}
			fmt.Fprintf(&cast, "[%.3f, \"o\", %s]\n", time.Since(began).Seconds(), text)
		}
		begun = copy(block, block[whole:begun+n])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, syscall.EIO), errors.Is(err, fs.ErrClosed): // the other end has gone
			return cast.String(), nil
		case err != nil:
			return "", err
		}
	}
}
