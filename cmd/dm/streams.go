package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// streams are where a command reads and writes: Out takes data and is flushed once, at
// the end or by who streams; Err takes talk. All text that came from outside passes through
// safe on its way to either.
type streams struct {
	In         io.Reader
	Out        *bufio.Writer
	Err        io.Writer
	Color      bool                                // Out is a terminal that may be painted
	Width      int                                 // columns of that terminal; 0: it is none, or does not say
	Height     int                                 // lines of it
	Screen     *os.File                            // that terminal, where In is one too
	ReadSecret func(prompt string) (string, error) // without an echo where In is a terminal
}

// processStreams are the process's own.
func processStreams(getenv func(string) string) *streams {
	s := &streams{In: os.Stdin, Out: bufio.NewWriterSize(os.Stdout, 64<<10), Err: os.Stderr}
	if term.IsTerminal(int(os.Stdout.Fd())) {
		s.Color = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
		s.Width, s.Height, _ = term.GetSize(int(os.Stdout.Fd())) // unknown is 0, which shows all
		if term.IsTerminal(int(os.Stdin.Fd())) {
			s.Screen = os.Stdout
		}
	}
	s.ReadSecret = func(prompt string) (string, error) {
		if !term.IsTerminal(int(os.Stdin.Fd())) {
			return s.readLine()
		}
		fmt.Fprint(s.Err, prompt)
		defer fmt.Fprintln(s.Err)
		secret, err := term.ReadPassword(int(os.Stdin.Fd()))
		return string(secret), err
	}
	return s
}

// say writes a line of talk.
func (s *streams) say(format string, args ...any) {
	fmt.Fprintln(s.Err, termsafe.Line(fmt.Sprintf(format, args...)))
}

// confirm asks for a Y and accepts nothing else, not even at the end of the input.
func (s *streams) confirm(format string, args ...any) error {
	fmt.Fprint(s.Err, termsafe.Line(fmt.Sprintf(format, args...))+" (enter Y to continue): ")
	answer, err := s.readLine()
	if err != nil && err != io.EOF {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer != "Y" {
		return dotmesh.E("dm", dotmesh.Internal, "Aborted; nothing was done")
	}
	return nil
}

// readLine reads one line byte by byte, so that what follows it is left to the next reader.
func (s *streams) readLine() (string, error) {
	var line strings.Builder
	var b [1]byte
	for line.Len() < maxLine {
		n, err := s.In.Read(b[:])
		if n == 1 && b[0] == '\n' {
			break
		}
		line.Write(b[:n])
		if err != nil {
			return strings.TrimSuffix(line.String(), "\r"), err
		}
	}
	return strings.TrimSuffix(line.String(), "\r"), nil
}

// maxLine is the longest answer or key that is read, in bytes.
const maxLine = 4096

// A colour is an SGR parameter.
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// paint returns text in a colour where the terminal shows colours.
func (s *streams) paint(c colour, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
