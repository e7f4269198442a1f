package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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

// TestNoFlippedBitIsBelieved flips bits all over a file in use. Whoever opens it is told, or
// finds every value as it was written.
func TestNoFlippedBitIsBelieved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kv")
	db := open(t, path)
	want := map[string]string{}
	for i := range 200 {
		key, value := fmt.Sprintf("key %d", i), strings.Repeat("value", i%40)
		want[key] = value
		put(t, db, fmt.Sprintf("bucket %d", i%5), key, value)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(whole, "\x00"))
	random, found := rand.New(rand.NewPCG(1, 2)), 0
	for round := range 200 {
		bit := random.IntN(8 * used)
		damaged := bytes.Clone(whole)
		damaged[bit/8] ^= 1 << (bit % 8)
		path := filepath.Join(dir, fmt.Sprint(round))
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		switch got, err := readAll(path); {
		case errors.Is(err, dotmesh.Corrupt):
			found++
			if !strings.Contains(dotmesh.Text(err), path) {
				t.Errorf("bit %d: %v does not name the file", bit, err)
			}
		case err != nil:
			t.Errorf("bit %d: err = %v, want corrupt", bit, err)
		case !maps.Equal(got, want):
			t.Errorf("bit %d: other values, and no error", bit)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Error("no flipped bit hit anything")
	}
}

func readAll(path string) (map[string]string, error) {
	db, err := kv.Open(path, size, time.Second)
	if err != nil {
		return nil, err
	}
	got := map[string]string{}
	err = db.View(func(r dotmesh.KVReader) error {
		for i := range 5 {
			for k, v := range r.Scan(fmt.Sprintf("bucket %d", i)) {
				got[k] = string(v)
			}
		}
		return nil
	})
	return got, errors.Join(err, db.Close())
}
