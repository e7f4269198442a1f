package tui

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/rogpeppe/go-internal/txtar"

	"dotmesh.io/dotmesh"
)

var update = flag.Bool("update", false, "write the goldens anew; commit only differences that you understand")

// sight is a place of the UI that the goldens keep, and the way there.
type sight struct {
	name string
	way  func(d *driver)
}

// sights are every screen and every kind of dialog.
func sights() []sight {
	at := func(dot string, keys ...string) func(*driver) {
		return func(d *driver) {
			d.onDot(dot)
			d.keys(keys...)
		}
	}
	return []sight{
		{"dots", at("shop")},
		{"branches", at("shop", "tab", "down")},
		{"commits", at("shop", "tab", "tab", "down", "down")},
		{"nodes", at("shop", "2")},
		{"transfers", at("shop", "3")},
		{"events", func(d *driver) {
			for range 40 {
				d.cluster.Step(time.Second)
				d.drain()
			}
			d.keys("4")
		}},
		{"cluster", at("shop", "5")},
		{"operations", at("shop", "6")},
		{"errors", func(d *driver) {
			d.u.fault("reset shop@master", dotmesh.E("test", dotmesh.Busy, "shop is in use by shop-web-1; stop it and try again"))
			d.u.fault("save", errors.New("the disk is full"))
			d.keys("7")
		}},
		{"help", at("shop", "?")},
		{"form", at("shop", "c", " before the sale", "tab", " job=sale")},
		{"delete", at("qa/fixtures", "D")},
		{"reset", at("qa/fixtures", "tab", "tab", "end", "up", "R")},
		{"palette", at("shop", ":", " node")},
		{"filter", at("shop", "/", " master:node-2")},
		{"file", at("qa/fixtures", "tab", "tab", "d", "down", "enter")},
		{"wizard", func(d *driver) {
			d.do(d.u.openWizard(dotmesh.Job{Kind: dotmesh.JobInit}))
			d.settle()
			d.keys("enter")
			for range 8 {
				d.cluster.Step(time.Second)
				d.drain()
			}
			d.settle()
		}},
	}
}

// goldenLook is a size and palette in which a sight is kept.
type goldenLook struct {
	width, height int
	palette       string
}

func (l goldenLook) String() string { return fmt.Sprintf("%dx%d %s", l.width, l.height, l.palette) }

// goldenLooks are all sizes without escapes, and every other palette at the usual size.
func goldenLooks() []goldenLook {
	return []goldenLook{
		{60, 15, PaletteASCII},
		{80, 24, PaletteASCII},
		{120, 35, PaletteASCII},
		{200, 50, PaletteASCII},
		{80, 24, PaletteNone},
		{80, 24, PaletteDark},
		{80, 24, PaletteLight},
	}
}

// TestEveryScreenLooksAsItDid compares every screen with testdata/screens. Without colours
// a frame stands there as it is seen; with them \e stands for escape. Spaces at the end of a
// line are left out, and counted here instead.
func TestEveryScreenLooksAsItDid(t *testing.T) {
	for _, s := range sights() {
		t.Run(s.name, func(t *testing.T) {
			path := filepath.Join("testdata", "screens", s.name+".txtar")
			drawn := &txtar.Archive{Comment: []byte("The screen \"" + s.name + "\"; written by: go test ./tui -update\n")}
			for _, l := range goldenLooks() {
				drawn.Files = append(drawn.Files, txtar.File{Name: l.String(), Data: []byte(s.draw(t, l))})
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(drawn), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			kept, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(kept.Files) != len(drawn.Files) {
				t.Fatalf("%s holds %d frames, want %d: go test ./tui -update", path, len(kept.Files), len(drawn.Files))
			}
			for i, want := range kept.Files {
				if got := drawn.Files[i]; got.Name != want.Name || !bytes.Equal(got.Data, want.Data) {
					t.Errorf("%s at %s is drawn otherwise, from line %d on:\n%s\nwant:\n%s", s.name, got.Name, differAt(got.Data, want.Data), got.Data, want.Data)
				}
			}
		})
	}
}

// draw goes to a place and returns the frame as the golden keeps it.
func (s sight) draw(t *testing.T, l goldenLook) (frame string) {
	t.Helper()
	utc := func(o *Options) {
		o.Palette = l.palette
		o.Now = func() time.Time { return time.Now().UTC() }
	}
	drive(t, l.width, l.height, utc, func(d *driver) {
		s.way(d)
		lines := strings.Split(d.u.View().Content, "\n")
		if len(lines) != l.height {
			t.Errorf("%s at %s has %d lines", s.name, l, len(lines))
		}
		for i, line := range lines {
			if w := ansi.StringWidth(line); w > l.width {
				t.Errorf("%s at %s: line %d is %d wide", s.name, l, i+1, w)
			}
			if l.palette == PaletteASCII {
				lines[i] = strings.TrimRight(ansi.Strip(line), " ")
			} else {
				lines[i] = strings.ReplaceAll(strings.TrimRight(line, " "), "\x1b", `\e`)
			}
		}
		frame = strings.Join(lines, "\n") + "\n"
	})
	return frame
}

// differAt is the number of the first line that differs.
func differAt(a, b []byte) int {
	x, y := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(x), len(y)) {
		if !bytes.Equal(x[i], y[i]) {
			return i + 1
		}
	}
	return min(len(x), len(y)) + 1
}

// TestWithoutColoursNoColourIsDrawn: bold, underline and reverse are what is left.
func TestWithoutColoursNoColourIsDrawn(t *testing.T) {
	for _, palette := range []string{PaletteNone, PaletteASCII} {
		for _, s := range sights() {
			drive(t, 120, 35, func(o *Options) { o.Palette = palette }, func(d *driver) {
				s.way(d)
				for _, parameters := range sgr(d.u.View().Content) {
					for _, p := range strings.Split(parameters, ";") {
						if n, err := strconv.Atoi(p); err != nil && p != "" || n >= 30 && n < 50 || n >= 90 {
							t.Errorf("%s in the palette %s is drawn with the colour %q", s.name, palette, parameters)
						}
					}
				}
			})
		}
	}
}

// TestTheASCIIPaletteIsASCII: the sights hold only what is drawn and what the demo's dots
// are called.
func TestTheASCIIPaletteIsASCII(t *testing.T) {
	for _, s := range sights() {
		drive(t, 120, 35, nil, func(d *driver) {
			s.way(d)
			for i, line := range strings.Split(d.frame(), "\n") {
				for _, r := range line {
					if r > 0x7e {
						t.Errorf("%s: line %d holds %q: %s", s.name, i+1, r, line)
						break
					}
				}
			}
		})
	}
}

// sgr returns the parameters of every sequence that sets how text looks.
func sgr(text string) (all []string) {
	for {
		_, after, ok := strings.Cut(text, "\x1b[")
		if !ok {
			return all
		}
		end := strings.IndexFunc(after, func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 {
			return all
		}
		if after[end] == 'm' {
			all = append(all, after[:end])
		}
		text = after[end:]
	}
}
