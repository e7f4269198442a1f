package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dotmesh.io/dotmesh"
)

func TestStorageIsChosenOnceAndKept(t *testing.T) {
	auto, file, dir := storage{kind: storageAuto}, storage{storageFile, "/data/dotmesh_data"}, storage{storageDir, "/pool"}
	for name, test := range map[string]struct {
		asked, earlier, want storage
		kind                 dotmesh.Kind
	}{
		"a first start that leaves it to us makes a file": {auto, storage{}, file, ""},
		"a first start gets what it asks for":             {dir, storage{}, dir, ""},
		"a later start that does not ask keeps it":        {auto, dir, dir, ""},
		"a later start may ask for the same":              {dir, dir, dir, ""},
		"a later start may not ask for another":           {file, dir, storage{}, dotmesh.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := choose(test.asked, test.earlier, "/data")
			if got != test.want || dotmesh.KindOf(err) != test.kind {
				t.Errorf("got %v and %v, want %v and kind %q", got, err, test.want, test.kind)
			}
		})
	}
}

func TestPoolThatIsGoneIsNotMadeAnew(t *testing.T) {
	if err := stillThere(storage{storageFile, filepath.Join(t.TempDir(), "gone")}); !errors.Is(err, dotmesh.NotFound) {
		t.Errorf("got %v", err)
	}
}

func TestRememberedStorageThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"", "auto\n", "nonsense", "btrfs:relative\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, storageName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readStorage(dir); !errors.Is(err, dotmesh.Corrupt) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestSecretsAreMadeOnceAndForOneReader(t *testing.T) {
	dir := t.TempDir()
	first, err := secret(dir, keyName)
	if err != nil || len(first) != 52 {
		t.Fatalf("got %d letters and %v", len(first), err)
	}
	if again, err := secret(dir, keyName); err != nil || again != first {
		t.Errorf("the next start got another key, and %v", err)
	}
	path := filepath.Join(dir, keyName)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v and %v", info, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := secret(dir, keyName); !errors.Is(err, dotmesh.Denied) {
		t.Errorf("a key that others can read: got %v", err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Truncate(path, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := secret(dir, keyName); !errors.Is(err, dotmesh.Corrupt) {
		t.Errorf("an empty key: got %v", err)
	}
}

func TestDataDirectoryHasOneServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	lock, err := lockDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDataDir(dir); !errors.Is(err, dotmesh.Busy) {
		t.Errorf("got %v, want busy", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err = lockDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
}
