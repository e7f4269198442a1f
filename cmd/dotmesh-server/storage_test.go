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
	zpool := storage{storageZpool, "tank"}
	for name, test := range map[string]struct {
		asked, earlier, want storage
		kind                 dotmesh.Kind
	}{
		"a first start that leaves it to us makes a file": {auto, storage{}, file, ""},
		"a first start may ask for a zpool":               {zpool, storage{}, zpool, ""},
		"a later start keeps its zpool":                   {auto, zpool, zpool, ""},
		"a later start does not leave its zpool":          {file, zpool, storage{}, dotmesh.Conflict},
		"a first start gets what it asks for":             {dir, storage{}, dir, ""},
		"a later start that does not ask keeps it":        {auto, dir, dir, ""},
		"a later start may ask for the same":              {dir, dir, dir, ""},
		"a later start may not ask for another":           {file, dir, storage{}, dotmesh.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := choose(test.asked, test.earlier, func() storage { return machine{}.pick("/data") })
			if got != test.want || dotmesh.KindOf(err) != test.kind {
				t.Errorf("got %v and %v, want %v and kind %q", got, err, test.want, test.kind)
			}
		})
	}
}

func TestStorageIsWhatTheMachineHas(t *testing.T) {
	for want, m := range map[storage]machine{
		{storageZpool, "pool"}:                 {pool: true, zfs: true},
		{storageZFSFile, "/data/dotmesh_data"}: {zfs: true},
		{storageFile, "/data/dotmesh_data"}:    {},
	} {
		if got := m.pick("/data"); got != want {
			t.Errorf("%+v: got %v, want %v", m, got, want)
		}
	}
}

func TestStorageIsReadAsItIsWritten(t *testing.T) {
	for _, text := range []string{"auto", "zfs:pool", "zfs:tank-1.a", "zfs-file:/a b/c", "btrfs:/pool", "btrfs-file:/a"} {
		if s, err := parseStorage(text); err != nil || s.String() != text {
			t.Errorf("%q is read as %q, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "zfs", "zfs:", "zfs:a/b", "zfs:-o", "zfs:/dev/sda", "zfs:a b", "zfs-file:a", "zfs-file:", "btrfs:a", "auto:", "tank", "xfs:/a"} {
		if s, err := parseStorage(text); !errors.Is(err, dotmesh.Invalid) {
			t.Errorf("%q is read as %q, %v", text, s, err)
		}
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
