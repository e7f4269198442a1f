package feed

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestLogKeepsTheNewest(t *testing.T) {
	for name, test := range map[string]struct {
		lines, length int
		kept          uint64
	}{
		"none":       {0, 0, 0},
		"a few":      {3, 10, 3},
		"exactly":    {maxLines, 10, maxLines},
		"many":       {2*maxLines + 7, 10, maxLines},
		"long ones":  {maxLines / 3, 4000, maxBytes / (4000 + lineWeighs)},
		"more bytes": {maxLines + 5, 4000, maxBytes / (4000 + lineWeighs)},
		"too long":   {maxLines / 4, 10_000, maxBytes / (maxText + lineWeighs)},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog()
			for range test.lines {
				l.add(Line{Text: strings.Repeat("x", test.length)})
			}
			first, next := l.Range()
			if next != uint64(test.lines)+1 || next-first != test.kept {
				t.Errorf("lines %d to %d of %d are kept, want %d", first, next, test.lines, test.kept)
			}
			all := l.Append(nil, 0)
			if len(all) != int(test.kept) || l.bytes > maxBytes {
				t.Errorf("%d lines, %d bytes", len(all), l.bytes)
			}
			for i, line := range all {
				if again, ok := l.Line(line.N); line.N != first+uint64(i) || !ok || again != line {
					t.Fatalf("line %d is numbered %d", first+uint64(i), line.N)
				}
			}
			if _, ok := l.Line(first - 1); ok {
				t.Error("a line that is not kept is there")
			}
			if _, ok := l.Line(next); ok {
				t.Error("a line that is not written is there")
			}
			if got := l.Append(nil, next-min(2, next-first)); len(got) != int(min(2, next-first)) {
				t.Errorf("the last two are %d", len(got))
			}
		})
	}
}

func TestLogIsReadWhileItGrows(t *testing.T) {
	l := newLog()
	var group sync.WaitGroup
	group.Go(func() {
		for i := range 2 * maxLines {
			l.add(Line{Text: fmt.Sprint(i + 1)})
		}
	})
	for at := uint64(1); at <= 2*maxLines; {
		lines := l.Append(nil, at)
		for _, line := range lines {
			if line.Text != fmt.Sprint(line.N) {
				t.Fatalf("line %d says %q", line.N, line.Text)
			}
			at = line.N + 1
		}
	}
	group.Wait()
}

func TestClip(t *testing.T) {
	for _, text := range []string{"", "x", strings.Repeat("x", maxText), strings.Repeat("ö", maxText/2), strings.Repeat("大", maxText), strings.Repeat("x", maxText+1), "x" + strings.Repeat("🐳", maxText)} {
		got := clip(text)
		if len(got) > maxText || !utf8.ValidString(got) || len(text) <= maxText && got != text || len(text) > maxText && (len(got) < maxText-8 || !strings.HasSuffix(got, "…")) {
			t.Errorf("%d bytes became %d, %q", len(text), len(got), got[max(len(got)-8, 0):])
		}
	}
}

func BenchmarkLog(b *testing.B) {
	l := newLog()
	b.ReportAllocs()
	for b.Loop() {
		l.add(Line{Text: "node-2: commit 8f21c3a0 on payments-db@master by ann: add march invoices"})
	}
}
