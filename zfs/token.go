//go:build linux

package zfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
)

// resumption is what a receiver has of a commit whose stream broke off: the token that its
// kernel keeps with the part. It comes from somebody else, and zfs send -t would send
// whatever it names: so it is read, and must name the step that is to be sent.
type resumption struct {
	Commit dotmesh.CommitID `json:"commit"`
	Token  string           `json:"token"`
}

// parseResumption reads what a receiver sent, who may be anybody.
func parseResumption(text []byte) (*resumption, error) {
	const limit = 16 << 10
	var r resumption
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if len(text) > limit || d.Decode(&r) != nil || d.More() || r.Commit.IsZero() || !validToken(r.Token) {
		return nil, dotmesh.E("", dotmesh.Conflict, "the note of a broken stream cannot be read; send from the beginning")
	}
	return &r, nil
}

// validToken reports whether a token looks as zfs writes them: four hexadecimal numbers.
func validToken(token string) bool {
	parts := strings.Split(token, "-")
	for _, part := range parts {
		if part == "" || strings.Trim(part, "0123456789abcdef") != "" {
			return false
		}
	}
	return len(parts) == 4 && parts[0] == "1"
}

// readToken has zfs read a token.
func (r *runner) readToken(ctx context.Context, token string) (*contents, error) {
	lines, err := r.output(ctx, tokenContents(token))
	if errors.Is(err, tokenGone) || errors.Is(err, notExist) {
		return nil, verdict(tokenGone)
	}
	if err != nil {
		return nil, err
	}
	return parseContents(lines)
}

// contents is what a token says.
type contents struct {
	name     string
	to, from uint64
}

// parseContents reads what zfs send -nvt shows: a title, and then "key = value" in each
// line, numbers in hexadecimal. Nothing may be said twice.
func parseContents(lines []string) (*contents, error) {
	c, seen := &contents{}, map[string]bool{}
	for _, line := range lines {
		key, value, found := strings.Cut(line, " = ")
		if !found || !strings.HasPrefix(key, "\t") {
			continue
		}
		key = strings.TrimSpace(key)
		if seen[key] {
			return nil, odd(line)
		}
		seen[key] = true
		var err error
		switch key {
		case "toname":
			c.name = value
		case "toguid":
			c.to, err = strconv.ParseUint(value, 0, 64)
		case "fromguid":
			c.from, err = strconv.ParseUint(value, 0, 64)
		}
		if err != nil {
			return nil, odd(line)
		}
	}
	if c.name == "" || c.to == 0 {
		return nil, odd(strings.Join(lines, "\n"))
	}
	return c, nil
}
