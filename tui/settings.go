package tui

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"dotmesh.io/dotmesh"
)

// Settings are what a user can set once and for all. The zero Settings are the defaults. dm
// reads them from a file.
type Settings struct {
	Palette  string              `yaml:"palette"`   // dark, light, none or ascii; empty: by the terminal
	Keys     map[string][]string `yaml:"keys"`      // by the names of the key table
	Columns  []string            `yaml:"columns"`   // of the dots, by title; empty: as many as there is room for
	ReadOnly []string            `yaml:"read_only"` // contexts in which nothing can be changed
	Mouse    bool                `yaml:"mouse"`
}

// Validate says which setting makes no sense, and what would.
func (s *Settings) Validate() error {
	const op = "tui.Settings"
	if s.Palette != "" && !slices.Contains(Palettes(), s.Palette) {
		return dotmesh.E(op, dotmesh.Invalid, "palette: %q is none of %s", s.Palette, strings.Join(Palettes(), ", "))
	}
	all := bindings()
	for name, keys := range s.Keys {
		if !slices.ContainsFunc(all, func(b binding) bool { return b.name == name }) {
			return dotmesh.E(op, dotmesh.Invalid, "keys: there is no %q; the help lists the names", name)
		}
		for _, key := range keys {
			if !isKey(key) {
				return dotmesh.E(op, dotmesh.Invalid, "keys: %s: %q is no key; write it as c, C, ctrl+s, space or f5", name, key)
			}
		}
	}
	for _, title := range s.Columns {
		if !slices.ContainsFunc(dotColumns(), func(c column) bool { return c.Title == title }) {
			return dotmesh.E(op, dotmesh.Invalid, "columns: there is no %q", title)
		}
	}
	return clash(newKeymap(s.Keys, false))
}

var namedKey = regexp.MustCompile(`^(ctrl\+)?(alt\+)?(shift\+)?(enter|tab|esc|space|backspace|insert|delete|home|end|pgup|pgdown|up|down|left|right|f[0-9]+)$`)

// isKey reports whether a key can be pressed that Bubble Tea calls so.
func isKey(key string) bool {
	if namedKey.MatchString(key) {
		return true
	}
	with, ctrl := strings.CutPrefix(key, "ctrl+")
	r, n := utf8.DecodeRuneInString(with)
	return n > 0 && n == len(with) && unicode.IsGraphic(r) && !unicode.IsSpace(r) && !(ctrl && unicode.IsUpper(r))
}

// clash finds a key that would do two things in one place.
func clash(m keymap) error {
	for i, a := range m {
		for _, b := range m[i+1:] {
			for _, key := range a.keys {
				if a.in&b.in != 0 && slices.Contains(b.keys, key) {
					return dotmesh.E("tui.Settings", dotmesh.Invalid, "keys: %s would be both %s and %s", key, a.name, b.name)
				}
			}
		}
	}
	return nil
}
