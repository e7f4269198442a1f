package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// The formats of -o.
const (
	formatText = "text"
	formatJSON = "json"
	formatYAML = "yaml"
)

func (e *env) checkOutput() error {
	switch e.flags.Output {
	case formatText:
		return nil
	case formatJSON, formatYAML:
		if e.flags.Scripting {
			return usage("-H and -o %s cannot both be had", e.flags.Output)
		}
		return nil
	}
	return usage("-o takes text, json or yaml, and not %q", e.flags.Output)
}

// scriptingFlag gives a command that prints a table its -H.
func (e *env) scriptingFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&e.flags.Scripting, "scripting", "H", false,
		"for scripts: no header, a tab after every field, raw numbers")
}

// show prints v as -o asks for, or calls text.
func (e *env) show(v any, text func() error) error {
	switch e.flags.Output {
	case formatJSON:
		return writeJSON(e.IO.Out, v)
	case formatYAML:
		return writeYAML(e.IO.Out, v)
	}
	return text()
}

// showOnly is show for a command whose text says nothing on standard output.
func (e *env) showOnly(v any) error {
	return e.show(v, func() error { return nil })
}

// writeJSON writes v as indented JSON in which nothing can steer a terminal.
func writeJSON(w io.Writer, v any) error {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return failure("write JSON", err)
	}
	_, err := w.Write(escapeJSON(plain.Bytes()))
	return err
}

// writeJSONLine is writeJSON on one line, for a stream of values.
func writeJSONLine(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return failure("write JSON", err)
	}
	_, err = w.Write(append(escapeJSON(data), '\n'))
	return err
}

// escapeJSON writes every character that is not printable as \u escapes. In encoded JSON
// such characters stand in strings only, but for the encoder's own line ends.
func escapeJSON(data []byte) []byte {
	if !bytes.ContainsFunc(data, isHidden) {
		return data
	}
	out := make([]byte, 0, len(data)+64)
	for _, r := range string(data) {
		switch {
		case !isHidden(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16Pair(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// isHidden reports whether a terminal would obey r, or not show it.
func isHidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r != '\n' && (r < ' ' || r == 0x7f)
	}
	return termsafe.Line(string(r)) != string(r)
}

func utf16Pair(r rune) (high, low rune) {
	r -= 0x10000
	return 0xd800 + r>>10, 0xdc00 + r&0x3ff
}

// writeYAML writes v, by its JSON, as YAML whose strings are quoted as in JSON wherever
// they could be taken for anything else.
func writeYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return failure("write YAML", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	out, err := appendYAML(nil, d, 0, false)
	if err != nil {
		return failure("write YAML", err)
	}
	_, err = w.Write(out)
	return err
}

// appendYAML appends the next value of d. inline says that the cursor stands after "key:"
// or "-"; an object in a list may begin there, all other blocks begin a line.
func appendYAML(out []byte, d *json.Decoder, indent int, inline bool) ([]byte, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	open, ok := t.(json.Delim)
	if !ok {
		if inline {
			out = append(out, ' ')
		}
		return append(appendScalar(out, t), '\n'), nil
	}
	if !d.More() {
		_, err = d.Token()
		empty := "{}\n"
		if open == '[' {
			empty = "[]\n"
		}
		if inline {
			empty = " " + empty
		}
		return append(out, empty...), err
	}
	if inline {
		out = append(out, '\n')
	}
	for d.More() {
		out = append(out, strings.Repeat("  ", indent)...)
		if open == '[' {
			out = append(out, '-')
		} else {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			out = appendKey(out, key, indent)
		}
		if out, err = appendYAML(out, d, indent+1, true); err != nil {
			return nil, err
		}
	}
	_, err = d.Token()
	return out, err
}

// maxYAMLKey is how long a key may be that stands before its value on one line: YAML says
// 1024 characters.
const maxYAMLKey = 1000

func appendKey(out []byte, key json.Token, indent int) []byte {
	start := len(out)
	out = appendScalar(out, key)
	if len(out)-start <= maxYAMLKey {
		return append(out, ':')
	}
	out = slices.Insert(out, start, '?', ' ')
	return append(out, "\n"+strings.Repeat("  ", indent)+":"...)
}

func appendScalar(out []byte, t json.Token) []byte {
	switch t := t.(type) {
	case string:
		if isPlainYAML(t) {
			return append(out, t...)
		}
		return appendQuoted(out, t)
	case json.Number:
		return append(out, t...)
	case bool:
		return strconv.AppendBool(out, t)
	}
	return append(out, "null"...)
}

// isPlainYAML reports whether s means itself without quotes in every version of YAML: a
// word that begins with a letter and is none of those that stand for other values.
func isPlainYAML(s string) bool {
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if !('a' <= c && c <= 'z' || i > 0 && (s[i] == '_' || s[i] == '-' || '0' <= s[i] && s[i] <= '9')) {
			return false
		}
	}
	return true
}

// appendQuoted appends s in double quotes, with the escapes of YAML.
func appendQuoted(out []byte, s string) []byte {
	out = append(out, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r == '\n':
			out = append(out, `\n`...)
		case !isHidden(r):
			out = utf8.AppendRune(out, r)
		case r == '\t':
			out = append(out, `\t`...)
		default:
			out = fmt.Appendf(out, `\U%08x`, r)
		}
	}
	return append(out, '"')
}

// appendSize appends a size as people read it: two decimals, and "-" for nothing.
func appendSize(out []byte, bytes int64) []byte {
	if bytes == 0 {
		return append(out, '-')
	}
	const unit = 1024
	value, suffix := float64(bytes)/unit, " kiB"
	if value >= unit || value <= -unit {
		value, suffix = value/unit, " MiB"
	}
	if value >= unit || value <= -unit {
		value, suffix = value/unit, " GiB"
	}
	return append(strconv.AppendFloat(out, value, 'f', 2, 64), suffix...)
}

func size(bytes int64) string { return string(appendSize(nil, bytes)) }

// unknownFigure stands for a figure that was not measured yet, which is not 0.
const unknownFigure = "?"

// dirtySize is a branch's dirty bytes for people.
func dirtySize(b dotmesh.Bytes) string { return string(appendDirty(nil, b)) }

func appendDirty(out []byte, b dotmesh.Bytes) []byte {
	if b.AsOf.IsZero() {
		return append(out, unknownFigure...)
	}
	return appendSize(out, b.Bytes)
}

// dirtyBytes is the same for scripts.
func dirtyBytes(b dotmesh.Bytes) string {
	if b.AsOf.IsZero() {
		return unknownFigure
	}
	return strconv.FormatInt(b.Bytes, 10)
}

// age says how long ago something was, in one unit.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}

// stamp is a time for people, in their own zone; "-" is none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// fields writes one line for scripts: a tab after every field, the last one too. No value
// can hold a tab or end the line.
func fields(w io.StringWriter, values ...string) {
	for _, v := range values {
		w.WriteString(termsafe.Line(v))
		w.WriteString("\t")
	}
	w.WriteString("\n")
}

// orDash is s, or "-" for nothing.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// count is a number as text.
func count(n uint64) string { return strconv.FormatUint(n, 10) }

// rfc3339 is a time for scripts; none is empty.
func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
