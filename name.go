package dotmesh

import (
	"fmt"
	"strings"
)

// MaxName is the length in bytes of the longest [Name].
const MaxName = 64

// MasterBranch is the branch that every dot is born with. Clients made for the original
// Dotmesh write it as the empty string.
const MasterBranch Name = "master"

// AdminNamespace is the namespace that a plain dot name means; it is left out when a dot
// is shown.
const AdminNamespace Name = "admin"

// Name is the name of a namespace, a dot or a branch: a letter or digit, then up to 63
// letters, digits, "_" or "-". It is made by [ParseName] or by decoding text, so a Name
// that is not empty is a valid one; the empty Name means "not given". Names are for
// people: what reaches a file system or a storage tool is always an id.
type Name string

// ParseName returns s as a Name, or an [Invalid] error that says what a name may hold.
func ParseName(s string) (Name, error) {
	if reason := nameFault(s); reason != "" {
		return "", E("parse name", Invalid, "invalid name %q: %s", clip(s), reason)
	}
	return Name(s), nil
}

// UnmarshalText accepts what [ParseName] accepts, and the empty text as "not given".
func (n *Name) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*n = ""
		return nil
	}
	*n, err = ParseName(string(text))
	return err
}

func nameFault(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case len(s) > MaxName:
		return fmt.Sprintf("it is longer than %d characters", MaxName)
	case !isAlphanumeric(s[0]):
		return "it must begin with a letter or digit"
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '_' && c != '-' {
			return `only letters, digits, "_" and "-" are allowed`
		}
	}
	return ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// clip keeps an error line short when the input that it quotes is not.
func clip(s string) string {
	if len(s) <= MaxName {
		return s
	}
	return s[:MaxName] + "…"
}

// DotName is a dot's full name. Two dots in different namespaces may share the short one.
type DotName struct {
	Namespace Name `json:"namespace"`
	Name      Name `json:"name"`
}

// ParseDotName reads "dot" or "namespace/dot"; without a namespace it is [AdminNamespace].
func ParseDotName(s string) (DotName, error) {
	namespace, name, found := strings.Cut(s, "/")
	if !found {
		namespace, name = string(AdminNamespace), s
	}
	ns, err := ParseName(namespace)
	if err != nil {
		return DotName{}, E("parse dot name", Invalid, "invalid dot name %q: namespace: %s", clip(s), nameFault(namespace))
	}
	n, err := ParseName(name)
	if err != nil {
		return DotName{}, E("parse dot name", Invalid, "invalid dot name %q: %s", clip(s), nameFault(name))
	}
	return DotName{Namespace: ns, Name: n}, nil
}

// String returns the name as it is shown: "dot" in the admin namespace, else "namespace/dot".
func (d DotName) String() string {
	if d.Namespace == AdminNamespace || d.Namespace == "" {
		return string(d.Name)
	}
	return string(d.Namespace) + "/" + string(d.Name)
}

// IsZero reports whether no dot is named.
func (d DotName) IsZero() bool { return d == DotName{} }

// Subdot is a directory at the top of a dot's file system that is mounted by itself: a
// name as [Name] has it, or one of the two reserved ones.
type Subdot string

const (
	// DefaultSubdot is the directory that is mounted when no subdot is asked for.
	DefaultSubdot Subdot = "__default__"
	// RootSubdot stands for the whole file system.
	RootSubdot Subdot = "__root__"
)

// ParseSubdot returns s as a Subdot; the empty string is [DefaultSubdot].
func ParseSubdot(s string) (Subdot, error) {
	switch Subdot(s) {
	case "", DefaultSubdot:
		return DefaultSubdot, nil
	case RootSubdot:
		return RootSubdot, nil
	}
	if reason := nameFault(s); reason != "" {
		return "", E("parse subdot", Invalid, "invalid subdot name %q: %s", clip(s), reason)
	}
	return Subdot(s), nil
}

// UnmarshalText accepts what [ParseSubdot] accepts.
func (s *Subdot) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSubdot(string(text))
	return err
}

// Volume is what a container asks to have mounted: [namespace/]dot[@branch][.subdot].
type Volume struct {
	Dot    DotName `json:"dot"`
	Branch Name    `json:"branch,omitempty"` // empty: whichever branch is the dot's current one
	Subdot Subdot  `json:"subdot"`
}

// ParseVolume reads a volume name. The order of its parts is fixed, so every volume has
// exactly one canonical spelling, the one that String returns.
func ParseVolume(s string) (Volume, error) {
	fault := func(err error) (Volume, error) {
		return Volume{}, E("parse volume", Invalid,
			"invalid volume name %q: %s; a volume is [namespace/]dot[@branch][.subdot]", clip(s), Text(err))
	}
	rest, subdot, dotted := strings.Cut(s, ".")
	if dotted && subdot == "" {
		return fault(E("parse subdot", Invalid, "nothing stands after the dot"))
	}
	sub, err := ParseSubdot(subdot)
	if err != nil {
		return fault(err)
	}
	name, branch, at := strings.Cut(rest, "@")
	v := Volume{Subdot: sub}
	if at {
		if v.Branch, err = ParseName(branch); err != nil {
			return fault(err)
		}
	}
	if v.Dot, err = ParseDotName(name); err != nil {
		return fault(err)
	}
	return v, nil
}

// String returns the canonical spelling: ParseVolume(v.String()) is v.
func (v Volume) String() string {
	s := v.Dot.String()
	if v.Branch != "" {
		s += "@" + string(v.Branch)
	}
	if v.Subdot != "" && v.Subdot != DefaultSubdot {
		s += "." + string(v.Subdot)
	}
	return s
}

// Pinned reports whether the volume names its branch, and so does not follow the dot's
// current one.
func (v Volume) Pinned() bool { return v.Branch != "" }
