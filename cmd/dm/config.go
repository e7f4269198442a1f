package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"

	"dotmesh.io/dotmesh"
)

// config is what dm remembers between commands, in the shape that clients made for the
// original Dotmesh read and write, too. Fields that it does not know survive an update.
type config struct {
	CurrentRemote string               `json:",omitempty"`
	Remotes       map[string]*remote   `json:",omitempty"`
	S3Remotes     map[string]*s3Remote `json:",omitempty"`
	Hosts         map[string]*host     `json:",omitempty"` // by address: servers used without being a remote
	Mounts        map[string]*mount    `json:",omitempty"` // by absolute path: what dm mount made

	rest object
}

// remote is a server that has a name.
type remote struct {
	User                 string
	Hostname             string
	Port                 int    `json:",omitempty"`
	ApiKey               string // in clear, which is why the file is 0600
	CAHash               string `json:",omitempty"` // SHA-256 of the certificate authority to insist on
	CurrentVolume        string
	CurrentBranches      map[string]string                `json:",omitempty"` // for old clients; never read
	DefaultRemoteVolumes map[string]map[string]*remoteDot `json:",omitempty"` // by local namespace and dot

	rest object
}

// remoteDot is where a dot goes on a remote.
type remoteDot struct {
	Namespace string
	Name      string

	rest object
}

// s3Remote is kept for clients that can use one.
type s3Remote struct {
	KeyID string

	rest object
}

// host is a server that dm reaches without a remote: the local socket, or DM_HOST.
type host struct {
	CurrentVolume string

	rest object
}

// mount is a symbolic link that dm mount made.
type mount struct {
	Server string           // the remote's name or the host's address
	Volume string           // what is mounted; its commit, if there is one
	Commit dotmesh.CommitID `json:",omitzero"`
	Target string           // what the link points at

	rest object
}

// object is a JSON object of which no more is known.
type object map[string]json.RawMessage

// The decoders and encoders only carry the unknown fields along; each plain type exists
// so that encoding/json does the rest without calling them again.

func (c *config) UnmarshalJSON(data []byte) (err error) {
	type plain config
	c.rest, err = decodeKnown(data, (*plain)(c))
	return err
}

func (c *config) MarshalJSON() ([]byte, error) {
	type plain config
	return encodeKnown((*plain)(c), c.rest)
}

func (r *remote) UnmarshalJSON(data []byte) (err error) {
	type plain remote
	r.rest, err = decodeKnown(data, (*plain)(r))
	return err
}

func (r *remote) MarshalJSON() ([]byte, error) {
	type plain remote
	return encodeKnown((*plain)(r), r.rest)
}

func (r *remoteDot) UnmarshalJSON(data []byte) (err error) {
	type plain remoteDot
	r.rest, err = decodeKnown(data, (*plain)(r))
	return err
}

func (r *remoteDot) MarshalJSON() ([]byte, error) {
	type plain remoteDot
	return encodeKnown((*plain)(r), r.rest)
}

func (r *s3Remote) UnmarshalJSON(data []byte) (err error) {
	type plain s3Remote
	r.rest, err = decodeKnown(data, (*plain)(r))
	return err
}

func (r *s3Remote) MarshalJSON() ([]byte, error) {
	type plain s3Remote
	return encodeKnown((*plain)(r), r.rest)
}

func (h *host) UnmarshalJSON(data []byte) (err error) {
	type plain host
	h.rest, err = decodeKnown(data, (*plain)(h))
	return err
}

func (h *host) MarshalJSON() ([]byte, error) {
	type plain host
	return encodeKnown((*plain)(h), h.rest)
}

func (m *mount) UnmarshalJSON(data []byte) (err error) {
	type plain mount
	m.rest, err = decodeKnown(data, (*plain)(m))
	return err
}

func (m *mount) MarshalJSON() ([]byte, error) {
	type plain mount
	return encodeKnown((*plain)(m), m.rest)
}

// decodeKnown decodes into the fields that v, a pointer to a struct, has by exactly their
// names, and returns the others.
func decodeKnown(data []byte, v any) (rest object, err error) {
	if err := json.Unmarshal(data, &rest); err != nil {
		return nil, err
	}
	s := reflect.ValueOf(v).Elem()
	for field, value := range s.Fields() {
		raw, ok := rest[field.Name]
		if !ok || !field.IsExported() {
			continue
		}
		delete(rest, field.Name)
		if err := json.Unmarshal(raw, value.Addr().Interface()); err != nil {
			return nil, fmt.Errorf("%s: %w", field.Name, err)
		}
	}
	return rest, nil
}

// encodeKnown encodes v and puts the other fields back.
func encodeKnown(v any, rest object) ([]byte, error) {
	known, err := json.Marshal(v)
	if err != nil || len(rest) == 0 {
		return known, err
	}
	var all object
	if err := json.Unmarshal(known, &all); err != nil {
		return nil, err
	}
	for name, raw := range rest {
		all[name] = raw
	}
	return json.Marshal(all)
}

// parseConfig reads a config file's content. Entries that are null are dropped, so that
// none of the maps holds a nil pointer.
func parseConfig(data []byte) (*config, error) {
	c := &config{}
	if len(bytes.TrimSpace(data)) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, err
	}
	dropNil(c.Remotes)
	dropNil(c.S3Remotes)
	dropNil(c.Hosts)
	dropNil(c.Mounts)
	for _, r := range c.Remotes {
		for _, dots := range r.DefaultRemoteVolumes {
			dropNil(dots)
		}
	}
	return c, nil
}

func dropNil[T any](m map[string]*T) {
	for name, v := range m {
		if v == nil {
			delete(m, name)
		}
	}
}

// maxConfig is the largest config file that is read, in bytes.
const maxConfig = 1 << 20

// loadConfig reads the file; there being none is an empty config. A file that others may
// read is refused, since it holds API keys.
func loadConfig(path string) (*config, error) {
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return &config{}, nil
	}
	if err != nil {
		return nil, failure("read the config file", err)
	}
	if err := checkPrivate(path, info); err != nil {
		return nil, err
	}
	if info.Size() > maxConfig {
		return nil, dotmesh.E("read config", dotmesh.Invalid, "the config file %s is larger than %d bytes", path, maxConfig)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, failure("read the config file", err)
	}
	c, err := parseConfig(data)
	if err != nil {
		return nil, dotmesh.E("read config", dotmesh.Invalid,
			"the config file %s is damaged (%v); repair it, or move it away and add the remotes again", path, err)
	}
	return c, nil
}

// checkPrivate refuses a file of secrets that anybody else may read.
func checkPrivate(path string, info fs.FileInfo) error {
	if runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return dotmesh.E("read "+path, dotmesh.Denied,
		"%s holds secrets and others may read it; make it yours alone: chmod 600 %s", path, path)
}

// updateConfig changes the file as one step: two commands at once lose neither's change,
// and a crash leaves the old file or the new one.
func updateConfig(ctx context.Context, path string, change func(*config) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return failure("make the config folder", err)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link, perhaps into somebody's dotfiles, stays one
	}
	unlock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	if err := change(c); err != nil {
		return err
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return failure("write the config file", err)
	}
	return failure("write the config file", replaceFile(path, append(data, '\n')))
}

// replaceFile writes data next to path, durably and for the user alone, and then gives it
// the name.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // made 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once the file has its name
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// failure is a local error with a line for the user; failure of nil is nil.
func failure(doing string, err error) error {
	if err == nil {
		return nil
	}
	return &dotmesh.Error{Op: "dm", Kind: dotmesh.Internal, Text: fmt.Sprintf("could not %s: %v", doing, err), Err: err}
}
