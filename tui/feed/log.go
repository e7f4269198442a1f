package feed

import (
	"sync"
	"time"

	"dotmesh.io/dotmesh"
)

// How much a Log keeps.
const (
	maxLines   = 10_000
	maxBytes   = 8 << 20
	maxText    = 4096 // of one line
	lineWeighs = 160  // bytes besides its texts
)

// Levels of lines. A LogRecord may have others.
const (
	Info  = "info"
	Warn  = "warn"
	Error = "error"
)

// Line is one thing that happened, in words. All its texts are harmless.
type Line struct {
	N      uint64 // lines are numbered from 1
	Time   time.Time
	Kind   dotmesh.EventKind // what it is about; empty: the connection
	Level  string
	Text   string
	Dot    string // names; empty: it is about none
	Branch string
	Node   string
}

func (l *Line) weight() int {
	return lineWeighs + len(l.Text) + len(l.Dot) + len(l.Branch) + len(l.Node)
}

// Log is what happened: its newest lines, at most 10,000 and at most 8 MiB of them. It may
// be read while it grows; its methods are for any goroutine.
type Log struct {
	mu    sync.RWMutex // guards the rest
	ring  []Line       // line n is at (n-1) % maxLines
	first uint64       // the oldest line that is kept
	next  uint64       // the number of the next line
	bytes int
}

func newLog() *Log { return &Log{first: 1, next: 1} }

// add appends a line, numbers it, and drops the oldest ones that are too many.
func (l *Log) add(line Line) {
	clean(&line.Text, &line.Dot, &line.Branch, &line.Node)
	line.Text = clip(line.Text)
	l.mu.Lock()
	defer l.mu.Unlock()
	line.N = l.next
	if l.next-l.first == maxLines {
		l.drop()
	}
	if len(l.ring) < maxLines {
		l.ring = append(l.ring, line)
	} else {
		*l.at(line.N) = line
	}
	l.next++
	for l.bytes += line.weight(); l.bytes > maxBytes; {
		l.drop()
	}
}

func (l *Log) drop() {
	oldest := l.at(l.first)
	l.bytes -= oldest.weight()
	*oldest = Line{}
	l.first++
}

func (l *Log) at(n uint64) *Line { return &l.ring[(n-1)%maxLines] }

// Range returns the numbers of the lines that are kept: from first up to, and without, next.
func (l *Log) Range() (first, next uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.first, l.next
}

// Line returns the line with that number. It is false for one that is not kept any more,
// or not there yet.
func (l *Log) Line(n uint64) (Line, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if n < l.first || n >= l.next {
		return Line{}, false
	}
	return *l.at(n), true
}

// clip cuts a text that is too long, at the beginning of a character.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := 0
	for i := range text {
		if i > maxText-len("…") {
			break
		}
		end = i
	}
	return text[:end] + "…"
}
