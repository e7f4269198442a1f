package tui_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

var (
	sgr      = regexp.MustCompile("\x1b\\[([0-9;:]*)m")
	position = regexp.MustCompile("\x1b\\[([0-9]+);?[0-9]*[Hd]")
)

func number(t *testing.T, digits string) int {
	t.Helper()
	if digits == "" {
		return 0
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// own are the sequences that our own renderer writes: everything else came from outside.
var own = []*regexp.Regexp{
	regexp.MustCompile("^\x1b\\[(1?[0-9]?[0-9]|200)?(;(1?[0-9]?[0-9]|200)?)?[ABCDEFGHIJKLMPSTXZ@abdefr`]$"), // where the cursor goes, what is erased
	regexp.MustCompile("^\x1b\\[(0|1|4|7|22|24|27|;)*m$"),                                                   // bold, underline, reverse
	regexp.MustCompile(`^\x1b\[\?(25|1049|2004|2026|2027|1000|1002|1003|1006|1004|7)(\$p|[hl])$`),
	regexp.MustCompile(`^\x1b\[[>=?<][0-9;]*(u|m|q|c)$`), // keyboard and version
	regexp.MustCompile(`^\x1b\[c$`),
	regexp.MustCompile(`^\x1b\[([0-6] )?q$`), // shape of the cursor
	regexp.MustCompile(`^\x1b[78M=>]$|^\x1b\[\?5W$`),
	regexp.MustCompile("^\x1b\\][02];dm <[^\x00-\x1f\x7f-\u009f]*(\a|\x1b\\\\)$"), // the window's title
	regexp.MustCompile("^\x1b\\]2;(\a|\x1b\\\\)$"),
	regexp.MustCompile("^\x1b\\]1[0-2];\\?(\a|\x1b\\\\)$|^\x1b\\]11[0-2](\a|\x1b\\\\)$"), // colours
}

// harmless returns what in a stream of bytes did not come from our own renderer.
func harmless(stream string) (foreign []string) {
	parser := ansi.NewParser()
	var state byte
	for len(stream) > 0 {
		sequence, _, n, next := ansi.DecodeSequence(stream, state, parser)
		if n == 0 {
			break
		}
		state, stream = next, stream[n:]
		if why := judge(sequence); why != "" && len(foreign) < 20 {
			foreign = append(foreign, fmt.Sprintf("%s: %.80q", why, sequence))
		}
	}
	return foreign
}

func judge(sequence string) string {
	switch sequence {
	case "\r", "\n", "\b", "\t": // how the renderer moves over short ways
		return ""
	}
	if sequence[0] == '\x1b' {
		if slices.ContainsFunc(own, func(r *regexp.Regexp) bool { return r.MatchString(sequence) }) {
			return ""
		}
		return "a sequence that is not ours"
	}
	for i, r := range sequence {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(sequence[i:], "\ufffd"):
			return "no UTF-8"
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), !unicode.IsGraphic(r):
			return "not visible"
		}
	}
	return ""
}

func TestHarmlessKnowsWhatIsNot(t *testing.T) {
	for _, text := range payloads() {
		if text == "\x1b[?1049l" || strings.HasPrefix(text, "back\r") {
			continue // those are ours, too
		}
		visible := !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) })
		if foreign := harmless(text); (len(foreign) == 0) != (visible && utf8.ValidString(text)) {
			t.Errorf("%q: %q", text, foreign)
		}
	}
	if foreign := harmless("\x1b[?1049h\x1b[H\x1b[2J\x1b[1mbold\x1b[m and \x1b]2;dm <demo\x1b\\plain\r\n"); foreign != nil {
		t.Errorf("our own: %q", foreign)
	}
}
