//go:build linux

package zfs

import (
	"context"
	"strconv"
	"strings"
)

// value is a property's value, and where it comes from: "local", "inherited from …", "-".
type value struct{ text, source string }

// values reads properties of a dataset or snapshot, in the order asked for.
func (r *runner) values(ctx context.Context, name string, properties ...string) ([]value, error) {
	lines, err := r.output(ctx, getValues(name, properties...))
	if err != nil {
		return nil, err
	}
	return parseValues(lines, len(properties))
}

func parseValues(lines []string, want int) ([]value, error) {
	if len(lines) != want {
		return nil, odd(strings.Join(lines, "\n"))
	}
	all := make([]value, want)
	for i, line := range lines {
		text, source, found := strings.Cut(line, "\t")
		if !found || strings.Contains(source, "\t") {
			return nil, odd(line)
		}
		all[i] = value{text, source}
	}
	return all, nil
}

// number reads a value that is a number of bytes; "-" is none.
func (v value) number() (int64, error) {
	if v.text == "-" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || n < 0 {
		return 0, odd(v.text)
	}
	return n, nil
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
