// Package filter reads what a user types to see fewer rows, and tells which rows those are.
//
//	pay_                  the text, in any of the fields that hold a row's text
//	pay.*-(db|log)        a regular expression
//	!test                 rows without it
//	master:node-2         in one field only
//	"add march"           exactly this, spaces and all; also level:"not yet"
//	pay_ !test dirty:yes  all of them
//
// Small letters stand for capital ones too; a term with a capital letter in it means what
// it says. What is still being typed (a quote that is open, a key without a value)
// hides nothing.
package filter

import (
	"slices"
	"strings"

	"dotmesh.io/dotmesh"
)

// Language says which fields the rows of a list have. Names of fields are lower-case.
type Language struct {
	Text []string // where a term without a key is looked for
	Keys []string // what may stand before a colon
}

// Filter is what a user typed. It does not change, and any goroutine may use it. The zero
// Filter, and a nil one, let every row pass.
type Filter struct{ terms []term }

// Parse reads what a user typed. Its error is for them to read while they type.
func (l Language) Parse(s string) (*Filter, error) {
	f := &Filter{}
	for _, w := range split(s) {
		t, err := l.term(w)
		if err != nil {
			return nil, err
		}
		if t.look != nil {
			f.terms = append(f.terms, t)
		}
	}
	return f, nil
}

// Empty reports whether every row passes.
func (f *Filter) Empty() bool { return f == nil || len(f.terms) == 0 }

// Match reports whether a row passes. It asks field for the row's text in a field, and
// keeps neither.
func (f *Filter) Match(field func(name string) string) bool {
	if f == nil {
		return true
	}
	for i := range f.terms {
		if f.terms[i].match(field) == f.terms[i].not {
			return false
		}
	}
	return true
}

// term is one of several conditions that a row meets.
type term struct {
	not    bool
	fields []string // any of them
	look   matcher  // nil: nothing to look for yet
}

func (t *term) match(field func(string) string) bool {
	for _, name := range t.fields {
		if t.look.match(field(name)) {
			return true
		}
	}
	return false
}

func (l Language) term(w word) (t term, err error) {
	t.not, t.fields = w.not, l.Text
	if w.key != "" {
		t.fields = []string{w.key}
		if !slices.Contains(l.Keys, w.key) {
			return t, dotmesh.E("parse filter", dotmesh.Invalid, `there is no field %q here, only %s; "quotes" make it text`,
				w.key, strings.Join(l.Keys, ", "))
		}
	}
	t.look, err = w.matcher()
	return t, err
}
