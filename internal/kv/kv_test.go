package kv_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const size = 1 << 20

func open(t *testing.T, path string) *kv.KV {
	t.Helper()
	db, err := kv.Open(path, size, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func put(t *testing.T, db *kv.KV, bucket, key, value string) {
	t.Helper()
	if err := db.Update(func(w dotmesh.KVWriter) error { return w.Put(bucket, key, []byte(value)) }); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, db *kv.KV, bucket, key string) (value string, found bool) {
	t.Helper()
	err := db.View(func(r dotmesh.KVReader) error {
		b := r.Get(bucket, key)
		value, found = string(b), b != nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return value, found
}

func TestAFileKeepsItsValuesAndItsSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv")
	db := open(t, path)
	put(t, db, "b", "k", "v")
	put(t, db, "b", "empty", "")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() < size {
		t.Errorf("size = %d, %v, want at least %d", info.Size(), err, size)
	}
	db = open(t, path)
	if got, found := get(t, db, "b", "k"); got != "v" || !found {
		t.Errorf("k = %q, %v", got, found)
	}
	if got, found := get(t, db, "b", "empty"); got != "" || !found {
		t.Errorf("empty = %q, %v, want it to be there", got, found)
	}
}

func TestAnUpdateThatFailsChangesNothing(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "kv"))
	stop := errors.New("stop")
	err := db.Update(func(w dotmesh.KVWriter) error {
		return errors.Join(w.Put("b", "k", []byte("v")), stop)
	})
	if !errors.Is(err, stop) {
		t.Fatalf("err = %v", err)
	}
	if _, found := get(t, db, "b", "k"); found {
		t.Error("k was written")
	}
}

func TestASecondOpenerIsToldThatItIsBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv")
	open(t, path)
	if _, err := kv.Open(path, size, time.Millisecond); !errors.Is(err, dotmesh.Busy) {
		t.Errorf("err = %v, want Busy", err)
	}
}

func TestADamagedFileIsCorrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Open(path, size, time.Second); !errors.Is(err, dotmesh.Corrupt) {
		t.Errorf("err = %v, want Corrupt", err)
	}
}

func TestAHalfMadeFileIsMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv")
	if err := os.WriteFile(path+".new", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, open(t, path), "b", "k", "v")
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half-made file is still there: %v", err)
	}
}

func TestAClosedFileSaysSo(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "kv"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	err := db.View(func(dotmesh.KVReader) error { return nil })
	if !errors.Is(err, dotmesh.Unreachable) {
		t.Errorf("err = %v, want Unreachable", err)
	}
}
