package verbs

import (
	"fmt"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
)

// Keys of the registry, without its prefix. Numbers are padded with zeros to the width of
// the largest, so that keys sort as numbers do.
const (
	keyCluster  = "cluster"
	keyBranches = "branches/"
	keyNodes    = "nodes/"
	keyUsers    = "users/"
	keyOps      = "ops/"
	keyCommits  = "commits/"
	keyAlive    = "alive/"

	keyRequests  = "requests/"
	keyResponses = "responses/"
)

const digits = 20 // of the largest uint64

func nodeKey(id dotmesh.NodeID) string { return keyNodes + string(id) }
func userKey(id dotmesh.UserID) string { return keyUsers + id.String() }
func requestKey(node dotmesh.NodeID, id dotmesh.UUID) string {
	return keyRequests + string(node) + "/" + id.String()
}
func responseKey(id dotmesh.UUID) string { return keyResponses + id.String() }
func dotKey(name dotmesh.DotName) string {
	return "dots/" + string(name.Namespace) + "/" + string(name.Name)
}
func branchKey(id dotmesh.BranchID) string         { return "branch/" + id.String() }
func branchesPrefix(id dotmesh.DotID) string       { return keyBranches + id.String() + "/" }
func lineKey(id dotmesh.LineID) string             { return "lines/" + id.String() }
func commitsPrefix(id dotmesh.LineID) string       { return keyCommits + id.String() + "/" }
func opsPrefix(id dotmesh.DotID) string            { return keyOps + id.String() + "/" }
func tombstoneKey(id dotmesh.UUID) string          { return "tombstones/" + id.String() }
func transferKey(id dotmesh.UUID) string           { return "transfers/" + id.String() }
func padded(n uint64) string                       { return fmt.Sprintf("%0*d", digits, n) }
func opKey(id dotmesh.DotID, n uint64) string      { return opsPrefix(id) + padded(n) }
func commitKey(id dotmesh.LineID, n uint64) string { return commitsPrefix(id) + padded(n) }

func nameKey(dot dotmesh.DotID, name dotmesh.Name) string {
	return branchesPrefix(dot) + string(name)
}

func positionKey(node dotmesh.NodeID, line dotmesh.LineID) string {
	return "positions/" + string(node) + "/" + line.String()
}

func attachmentKey(node dotmesh.NodeID, volume string) string {
	return "attachments/" + string(node) + "/" + volume
}

// AliveKey is the key of a node's Alive record, which goes with its lease.
func AliveKey(id dotmesh.NodeID) string { return keyAlive + string(id) }

// OpsPrefix is what the keys of a dot's operation log begin with; OpKey is one of them.
func OpsPrefix(id dotmesh.DotID) string { return opsPrefix(id) }

// OpKey is the key of entry n of a dot's operation log.
func OpKey(id dotmesh.DotID, n uint64) string { return opKey(id, n) }

// Lasting reports whether a key belongs in an export: what hangs on a lease does not.
func Lasting(key string) bool {
	collection, _, _ := strings.Cut(key, "/")
	return collection != "alive" && collection != "requests" && collection != "responses"
}

// number reads the padded number at the end of a key.
func number(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || padded(n) != s {
		return 0, dotmesh.E("parse key", dotmesh.Corrupt, "%q is not a number of %d digits", clip(s), digits)
	}
	return n, nil
}

// id reads an id in its one canonical spelling.
func id[T any](s string, as func(dotmesh.UUID) T) (T, error) {
	u, err := dotmesh.ParseUUID(s)
	if err != nil || u.String() != s {
		var none T
		return none, dotmesh.E("parse key", dotmesh.Corrupt, "%q is not an id", clip(s))
	}
	return as(u), nil
}

func clip(s string) string {
	if len(s) <= 64 {
		return s
	}
	return s[:64] + "…"
}

// Identify returns a record of which only what the key says is set: the form in which a
// deletion is told. It is nil for keys that are no record of their own.
func Identify(key string) (dotmesh.Record, error) {
	collection, rest, _ := strings.Cut(key, "/")
	first, second, _ := strings.Cut(rest, "/")
	record, err := identify(collection, rest, first, second)
	if err != nil {
		return nil, &dotmesh.Error{
			Op: "parse key", Kind: dotmesh.KindOf(err), Err: err,
			Text: fmt.Sprintf("the registry holds the key %q, which this program cannot have written; a newer Dotmesh may have", clip(key)),
		}
	}
	return record, nil
}

func identify(collection, rest, first, second string) (dotmesh.Record, error) {
	switch collection {
	case "cluster":
		return &dotmesh.Cluster{}, fits(rest == "")
	case "nodes":
		node, err := dotmesh.ParseNodeID(rest)
		return &dotmesh.Node{ID: node}, err
	case "alive":
		node, err := dotmesh.ParseNodeID(rest)
		return &dotmesh.Alive{Node: node}, err
	case "dots":
		name, err := dotmesh.ParseDotName(rest)
		return &dotmesh.Dot{Name: name}, either(err, fits(second != ""))
	case "branch":
		b, err := id(rest, func(u dotmesh.UUID) dotmesh.BranchID { return dotmesh.BranchID{UUID: u} })
		return &dotmesh.Branch{ID: b}, err
	case "lines":
		l, err := lineID(rest)
		return &dotmesh.Line{ID: l}, err
	case "commits":
		l, err := lineID(first)
		n, err2 := number(second)
		return &dotmesh.Commit{Line: l, Seq: n}, either(err, err2)
	case "positions":
		node, err := dotmesh.ParseNodeID(first)
		l, err2 := lineID(second)
		return &dotmesh.Position{Node: node, Line: l}, either(err, err2)
	case "attachments":
		node, err := dotmesh.ParseNodeID(first)
		return &dotmesh.Attachment{Node: node, Volume: second}, either(err, fits(second != ""))
	case "requests":
		node, err := dotmesh.ParseNodeID(first)
		u, err2 := plainID(second)
		return &dotmesh.Request{Node: node, ID: u}, either(err, err2)
	case "responses":
		u, err := plainID(rest)
		return &dotmesh.Response{ID: u}, err
	case "tombstones":
		u, err := plainID(rest)
		return &dotmesh.Tombstone{ID: u}, err
	case "transfers":
		u, err := plainID(rest)
		return &dotmesh.Transfer{ID: u}, err
	case "users":
		var user dotmesh.UserID
		err := user.UnmarshalText([]byte(rest))
		return &dotmesh.User{ID: user}, either(err, fits(user.String() == rest))
	default:
		return nil, unlisted(collection, first, second)
	}
}

// unlisted judges the keys that are no record of their own.
func unlisted(collection, first, second string) error {
	switch collection {
	case "branches":
		_, err := dotmesh.ParseUUID(first)
		_, err2 := dotmesh.ParseName(second)
		return either(err, err2)
	case "ops":
		_, err := dotmesh.ParseUUID(first)
		_, err2 := number(second)
		return either(err, err2)
	case "tokens", "revoked", "audit":
		return nil // other parts of the program read these
	}
	return dotmesh.E("parse key", dotmesh.Unsupported, "unknown collection %q", clip(collection))
}

func plainID(s string) (dotmesh.UUID, error) {
	return id(s, func(u dotmesh.UUID) dotmesh.UUID { return u })
}

func lineID(s string) (dotmesh.LineID, error) {
	return id(s, func(u dotmesh.UUID) dotmesh.LineID { return dotmesh.LineID{UUID: u} })
}

func fits(ok bool) error {
	if ok {
		return nil
	}
	return dotmesh.E("parse key", dotmesh.Corrupt, "the key has a part too many or too few")
}

func either(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
