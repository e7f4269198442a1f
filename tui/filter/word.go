package filter

import "strings"

// word is a piece of what was typed, taken apart.
type word struct {
	not     bool
	key     string // "": none
	value   string
	literal bool // the value was in quotes: nothing in it has a meaning of its own
}

// split cuts what was typed into words, at spaces that are not in quotes.
func split(s string) (words []word) {
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		var w word
		w, s = next(s)
		words = append(words, w)
	}
	return words
}

// next takes the first word off s. Quotes are quotes at the beginning of a value only.
func next(s string) (w word, rest string) {
	s, w.not = strings.CutPrefix(s, "!")
	if key, after, ok := strings.Cut(s, ":"); ok && isKey(key) {
		w.key, s = key, after
	}
	if after, ok := strings.CutPrefix(s, `"`); ok {
		w.literal = true
		w.value, rest, _ = strings.Cut(after, `"`)
		return w, rest
	}
	end := strings.IndexByte(s, ' ')
	if end < 0 {
		end = len(s)
	}
	w.value = s[:end]
	return w, s[end:]
}

// isKey reports whether s can be the name of a field.
func isKey(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && r != '_' && r != '-' {
			return false
		}
	}
	return s != ""
}
