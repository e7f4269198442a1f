package filter

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"

	"dotmesh.io/dotmesh"
)

// matcher says whether a text is what a term looks for.
type matcher interface{ match(string) bool }

// exact is a text that must occur as it is.
type exact string

func (e exact) match(s string) bool { return strings.Contains(s, string(e)) }

// folded is a text of ASCII without capital letters, which stand for them too.
type folded string

func (f folded) match(s string) bool {
	for i := 0; i+len(f) <= len(s); i++ {
		if lower(s[i]) == f[0] && f.begins(s[i:]) {
			return true
		}
	}
	return false
}

func (f folded) begins(s string) bool {
	for i := range len(f) {
		if lower(s[i]) != f[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// pattern is a regular expression, and the texts that are in all that it matches. Most
// rows lack one of them, which is soon seen.
type pattern struct {
	needs []matcher
	re    *regexp.Regexp
}

func (p *pattern) match(s string) bool {
	for _, need := range p.needs {
		if !need.match(s) {
			return false
		}
	}
	return p.re.MatchString(s)
}

// needs returns texts that are in whatever an expression matches.
func needs(re *syntax.Regexp) (all []matcher) {
	switch re.Op {
	case syntax.OpConcat, syntax.OpCapture:
		for _, sub := range re.Sub {
			all = append(all, needs(sub)...)
		}
	case syntax.OpLiteral:
		text := string(re.Rune)
		switch {
		case re.Flags&syntax.FoldCase == 0:
			all = append(all, exact(text))
		case isASCII(text):
			all = append(all, folded(strings.ToLower(text)))
		}
	}
	return all
}

// matcher returns what a word looks for; nil: it is empty so far.
func (w word) matcher() (matcher, error) {
	text := w.value
	switch {
	case text == "":
		return nil, nil
	case !w.literal && regexp.QuoteMeta(text) != text:
		return w.pattern(text)
	case hasCapital(text):
		return exact(text), nil
	case isASCII(text):
		return folded(text), nil
	}
	return w.pattern(regexp.QuoteMeta(text))
}

func (w word) pattern(expr string) (matcher, error) {
	if !hasCapital(expr) {
		expr = "(?i)" + expr
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, dotmesh.E("parse filter", dotmesh.Invalid, `%q is not a pattern yet: %s`, w.value, reason(err))
	}
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err // it was compiled, so it parses
	}
	return &pattern{needs(parsed), re}, nil
}

// reason returns what is wrong with a regular expression, without the expression.
func reason(err error) string {
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		return e.Code.String()
	}
	return err.Error()
}

// hasCapital reports whether s has a capital letter that stands for itself: \S does not.
func hasCapital(s string) bool {
	escaped := false
	for _, r := range s {
		if unicode.IsUpper(r) && !escaped {
			return true
		}
		escaped = r == '\\' && !escaped
	}
	return false
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}
