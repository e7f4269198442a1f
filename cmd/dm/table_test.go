package main

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"text/tabwriter"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// laidOut is what dm printed when text/tabwriter laid its tables out.
func laidOut(t *testing.T, columns int, cells []string) string {
	t.Helper()
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 3, 8, 2, ' ', 0)
	for ; len(cells) > 0; cells = cells[columns:] {
		line := make([]string, columns)
		for i := range line {
			line[i] = termsafe.Line(cells[i])
		}
		if _, err := io.WriteString(w, strings.Join(line, "\t")+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// FuzzTable lays cells out in a number of columns that last chooses.
func FuzzTable(f *testing.F) {
	f.Add(uint8(0), "DOT\x00shop\x00")
	f.Add(uint8(2), "\x00\x00\x00\x00\x00\x00")
	f.Add(uint8(1), "  DOT\x00DIRTY\x00* a-long-one\x001.50 kiB\x00  b\x00-")
	f.Add(uint8(3), "ID\x00KIND\x00LEFT\x00WHY\x00größe\x00目\x00a\tb\x00a\nb\vc\fd\x00\x1b[31m\x00\xff\xfe\x00\u202e\x00")
	f.Add(uint8(1), strings.Repeat("long", 50)+"\x00a\x00b\x00c")
	f.Fuzz(func(t *testing.T, last uint8, text string) {
		cells := strings.Split(text, "\x00")
		columns := 1 + int(last)%len(cells)
		cells = cells[:len(cells)/columns*columns]
		table := newTable(cells[:columns]...)
		for rest := cells[columns:]; len(rest) > 0; rest = rest[columns:] {
			table.row(rest[:columns]...)
		}
		var got bytes.Buffer
		out := bufio.NewWriter(&got)
		if err := table.write(out); err != nil {
			t.Fatal(err)
		}
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
		if want := laidOut(t, columns, cells); got.String() != want {
			t.Errorf("got\n%s\nwant\n%s", got.String(), want)
		}
	})
}

func TestTableWithARowThatIsTooShort(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it is laid out")
		}
	}()
	newTable("N", "TIME").row("1")
}

// manyDots are as many dots as a large node has.
func manyDots(n int) []dotmesh.DotStatus {
	dots := make([]dotmesh.DotStatus, n)
	for i := range dots {
		d := &dots[i]
		d.Name = admin(dotmesh.Name("dot-" + count(uint64(100_000+i))))
		d.Branch = dotmesh.BranchStatus{MasterName: "laptop", Size: 16384, Dirty: dotmesh.Bytes{AsOf: moment}}
		d.Branch.Name, d.Branch.Pointer.Count = dotmesh.MasterBranch, 10
	}
	return dots
}

// listing is dm list with such an answer at hand.
func listing(out io.Writer) *listOptions {
	return &listOptions{env: &env{
		IO: &streams{Out: bufio.NewWriter(out)}, config: &config{}, server: &server{Name: localSocket},
	}}
}

func TestListOfManyDotsTakesNoMemoryForEach(t *testing.T) {
	dots, o := manyDots(1000), listing(io.Discard)
	allocated := testing.AllocsPerRun(10, func() {
		if err := listText(o, dots); err != nil {
			t.Fatal(err)
		}
	})
	if allocated > 100 {
		t.Errorf("a list of %d dots allocates %.0f times", len(dots), allocated)
	}
}

func BenchmarkListText(b *testing.B) {
	dots, o := manyDots(10_000), listing(io.Discard)
	b.ReportAllocs()
	for b.Loop() {
		if err := listText(o, dots); err != nil {
			b.Fatal(err)
		}
	}
}
