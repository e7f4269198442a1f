package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
)

// results are a whole run's.
type results struct {
	Machine machine `json:"machine"`
	Short   bool    `json:"short,omitempty"`
	Rows    []row   `json:"rows"`
}

// publish prints the table, keeps the results and, after a whole run, puts the table into
// the page.
func publish(o *options, r *results, whole bool) error {
	if err := r.print(os.Stdout); err != nil {
		return err
	}
	if o.short {
		return nil
	}
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.cache, "results.json"), data, 0o644); err != nil {
		return err
	}
	if !whole {
		return nil
	}
	page, err := os.ReadFile(o.docs)
	if err != nil {
		return err
	}
	next, err := splice(string(page), r.markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", o.docs, err)
	}
	return os.WriteFile(o.docs, []byte(next), 0o644)
}

// The lines between which the page's table stands.
const (
	begin = "<!-- bench: begin -->\n"
	end   = "<!-- bench: end -->\n"
)

// splice replaces what stands between the markers.
func splice(page, table string) (string, error) {
	before, rest, found := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("there is no %q with a %q after it", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + "\n" + table + "\n" + end + after, nil
}

var columns = []string{"what", "against", "ours", "theirs", "result (95 % interval)", "must", "aim", "verdict", "rounds", "load"}

func (r *row) cells() []string {
	against, ours, theirs := r.Against, milliseconds(r.Ours), milliseconds(r.Theirs)
	if against == "" {
		against, ours, theirs = "absolute", "–", "–"
	}
	result := r.figure(r.Value)
	if r.Rounds > 1 {
		result += " (" + number(r.Low) + " to " + number(r.High) + ")"
	}
	must := r.limit(r.Must)
	if r.Never {
		must = "0"
	}
	return []string{
		r.What, against, ours, theirs, result, must, r.limit(r.Aim), r.verdict(),
		strconv.Itoa(r.Rounds), strconv.FormatFloat(r.Load, 'f', 1, 64),
	}
}

// figure writes a value with its unit.
func (r *row) figure(v float64) string {
	switch {
	case r.Unit != "x":
		return number(v) + " " + r.Unit
	case r.More:
		return number(v) + "x faster"
	}
	return number(v) + "x"
}

func (r *row) limit(v float64) string {
	if v == 0 {
		return "–"
	}
	sign := "≤ "
	if r.More {
		sign = "≥ "
	}
	return sign + r.figure(v)
}

func milliseconds(v float64) string { return number(v) + " ms" }

// number writes three digits that matter.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// print writes the table for a terminal.
func (r *results) print(out *os.File) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.ToUpper(strings.Join(columns, "\t")))
	for i := range r.Rows {
		fmt.Fprintln(table, strings.ReplaceAll(strings.Join(r.Rows[i].cells(), "\t"), "**", ""))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n", strings.Join(r.Machine.facts(), "\n"))
	return err
}

// markdown is the table for the page.
func (r *results) markdown() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(columns)
	b.WriteString(strings.Repeat("|---", len(columns)) + "|\n")
	for i := range r.Rows {
		line(r.Rows[i].cells())
	}
	b.WriteString("\nThe machine:\n\n")
	for _, fact := range r.Machine.facts() {
		b.WriteString("- " + fact + "\n")
	}
	return b.String()
}
