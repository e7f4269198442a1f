package main

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dotmesh.io/dotmesh"
	"golang.org/x/sys/unix"
)

// Files of the data directory.
const (
	lockName     = "lock"
	keyName      = "admin-api-key"
	passwordName = "admin-password"
)

// lockDataDir makes the data directory if there is none and makes it ours until the
// returned file is closed. [dotmesh.Busy] while another server has it.
func lockDataDir(dir string) (*os.File, error) {
	const op = "data-dir"
	fail := func(err error) (*os.File, error) {
		return nil, &dotmesh.Error{Op: op, Kind: dotmesh.Invalid, Text: fmt.Sprintf("cannot use the data directory: %v", err), Err: err}
	}
	// Others may pass through, to what is mounted below, and see nothing else.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fail(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fail(err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = dotmesh.E(op, dotmesh.Busy, "another dotmesh-server uses %s; stop it first or give this one its own --data-dir", dir)
		return nil, errors.Join(err, lock.Close())
	}
	if err != nil {
		return fail(errors.Join(err, lock.Close()))
	}
	return lock, nil
}

// secret returns the secret that a file of the data directory holds. The first start
// makes it: 256 random bits in the letters that survive being read aloud.
func secret(dir, name string) (dotmesh.Secret, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		made := newSecret()
		return made, saveSecret(dir, name, made)
	}
	if err != nil {
		return "", dotmesh.Wrap("secret", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", dotmesh.E("secret", dotmesh.Denied, "others may read %s; change it with: chmod 600 %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", dotmesh.Wrap("secret", err)
	}
	s := strings.TrimSpace(string(text))
	if s == "" {
		return "", dotmesh.E("secret", dotmesh.Corrupt, "%s is empty; remove it, and the next start makes a new one", path)
	}
	return dotmesh.Secret(s), nil
}

func newSecret() dotmesh.Secret {
	var bits [32]byte
	rand.Read(bits[:]) // never fails, as crypto/rand documents
	return dotmesh.Secret(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(bits[:]))
}

// saveSecret puts a secret in its file.
func saveSecret(dir, name string, s dotmesh.Secret) error {
	return writeFile(filepath.Join(dir, name), []byte(string(s)+"\n"))
}

// writeFile makes or replaces a file that only its owner may read. After a crash the old
// one is there or the new one, whole.
func writeFile(path string, content []byte) (err error) {
	const op = "write file"
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // 0600
	if err != nil {
		return dotmesh.Wrap(op, err)
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return dotmesh.Wrap(op, errors.Join(err, os.Remove(file.Name())))
	}
	return dotmesh.Wrap(op, syncDir(filepath.Dir(path)))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
