package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"dotmesh.io/dotmesh"
)

// original is a file as a client made for the original Dotmesh could leave it, with fields
// that a later version might add.
const original = `{"CurrentRemote":"local","Theme":"dark",
"Remotes":{"local":{"User":"admin","Hostname":"127.0.0.1","Port":32607,"ApiKey":"K","CurrentVolume":"shop",
"CurrentBranches":{"shop":"staging"},"DefaultRemoteVolumes":{"admin":{"shop":{"Namespace":"alice","Name":"store","Note":1}}},"Colour":"red"},
"hub":{"User":"alice","Hostname":"hub.example.com","ApiKey":"L","CurrentVolume":"","CurrentBranches":null,"DefaultRemoteVolumes":null}},
"S3Remotes":{"bucket":{"KeyID":"I","SecretKey":"S","Endpoint":"E","DefaultRemoteVolumes":{"admin":{"shop":{"Namespace":"a","Name":"b","Prefixes":["c"]}}}}}}`

func writeConfig(t testing.TB, s *shell, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.config()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config(), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readConfig(t testing.TB, s *shell) map[string]any {
	t.Helper()
	data, err := os.ReadFile(s.config())
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestUnknownFieldsSurviveAnUpdate(t *testing.T) {
	s := newShell(t, shop())
	writeConfig(t, s, original)
	if code := s.run("switch", "shop"); code != exitOK {
		t.Fatal(s.err)
	}
	var want map[string]any
	if err := json.Unmarshal([]byte(original), &want); err != nil {
		t.Fatal(err)
	}
	hub := want["Remotes"].(map[string]any)["hub"].(map[string]any)
	delete(hub, "CurrentBranches") // null says as much as nothing
	delete(hub, "DefaultRemoteVolumes")
	if got := readConfig(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("the file holds\n%v, want\n%v", got, want)
	}
}

func TestTheOriginalsConfigIsUsed(t *testing.T) {
	s := newShell(t, shop())
	writeConfig(t, s, original)
	if s.run("remote", "-v"); s.out != "  bucket\tI\n  hub\talice@hub.example.com\n* local\tadmin@127.0.0.1\n" {
		t.Errorf("dm remote -v prints %q", s.out)
	}
	if s.run("remote"); s.out != "  bucket\n  hub\n* local\n" {
		t.Errorf("dm remote prints %q", s.out)
	}
	s.run("list")
	if want := (endpoint{URL: "http://127.0.0.1:32607", User: "admin", Key: "K"}); s.dialed != want {
		t.Errorf("dm list calls %+v, want %+v", s.dialed, want)
	}
	if s.run("dot", "show"); !strings.Contains(s.out, "Tracks dot alice/store on remote local\n") {
		t.Errorf("dm dot show prints %q", s.out)
	}
	if s.run("dot", "show", "-H"); !strings.HasSuffix(s.out, "\ndefaultUpstreamDot\tlocal\talice/store\n") {
		t.Errorf("dm dot show -H prints %q", s.out)
	}
	if s.run("remote", "switch", "bucket"); !strings.Contains(s.err, "is an S3 remote") {
		t.Errorf("switching to an S3 remote: %q", s.err)
	}
	s.run("remote", "switch", "hub")
	s.run("list")
	if want := (endpoint{URL: "https://hub.example.com:32607", User: "alice", Key: "L"}); s.dialed != want {
		t.Errorf("dm list calls %+v, want %+v", s.dialed, want)
	}
	if s.run("remote", "-o", "json"); strings.Contains(s.out, "\"L\"") || strings.Contains(s.out, "SecretKey") {
		t.Errorf("dm remote -o json tells a key: %s", s.out)
	}
}

func TestTheBranchIsTheServersAndOnlyWrittenDown(t *testing.T) {
	f := shop()
	s := newShell(t, f)
	writeConfig(t, s, original)
	s.run("commit", "-m", "x")
	if got := f.asked[0].(dotmesh.CommitRequest).Branch; got != "" {
		t.Errorf("dm commit names branch %q, which the config file has", got)
	}
	s.run("checkout", "attempt")
	branches := readConfig(t, s)["Remotes"].(map[string]any)["local"].(map[string]any)["CurrentBranches"]
	if want := map[string]any{"shop": "attempt"}; !reflect.DeepEqual(branches, want) {
		t.Errorf("the file says %v, want %v", branches, want)
	}
	s.run("dot", "delete", "-f", "shop")
	local := readConfig(t, s)["Remotes"].(map[string]any)["local"].(map[string]any)
	if local["CurrentVolume"] != "" || local["CurrentBranches"] != nil {
		t.Errorf("a dot that is gone is remembered: %v", local)
	}
}

func TestDotSetUpstream(t *testing.T) {
	s := newShell(t, shop())
	writeConfig(t, s, original)
	if code := s.run("dot", "set-upstream", "alice/blog", "hub", "bob/blog"); code != exitOK {
		t.Fatal(s.err)
	}
	c, err := loadConfig(s.config())
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Remotes["hub"].DefaultRemoteVolumes["alice"]["blog"]; got == nil || got.Namespace != "bob" || got.Name != "blog" {
		t.Errorf("the upstream is %+v", got)
	}
}

func TestRemoteAdd(t *testing.T) {
	f := shop()
	s := newShell(t, f)
	s.secret = "  the key \n"
	if code := s.run("remote", "add", "here", "admin@[::1]:8080"); code != exitOK {
		t.Fatal(s.err)
	}
	if want := (endpoint{URL: "http://[::1]:8080", User: "admin", Key: "the key"}); s.dialed != want {
		t.Errorf("it tries %+v, want %+v", s.dialed, want)
	}
	if s.run("remote", "-v"); s.out != "* here\tadmin@[::1]:8080\n" {
		t.Errorf("the first remote does not become the current one: %q", s.out)
	}
	s.env["DOTMESH_PASSWORD"] = "from the environment"
	f.user = "alice"
	if code := s.run("remote", "add", "hub", "alice@hub.example.com", "--ca-hash", "H"); code != exitOK {
		t.Fatal(s.err)
	}
	if want := (endpoint{URL: "https://hub.example.com:32607", User: "alice", Key: "from the environment", CAHash: "H"}); s.dialed != want {
		t.Errorf("it tries %+v, want %+v", s.dialed, want)
	}
	if code := s.run("remote", "add", "hub", "alice@hub.example.com"); code != exitConflict {
		t.Errorf("a name that is taken: exit %d, %s", code, s.err)
	}
	if code := s.run("remote", "add", "other", "bob@hub.example.com"); code != exitDenied || !strings.Contains(s.err, "Permission denied") {
		t.Errorf("another's key: exit %d, %s", code, s.err)
	}
	f.err = dotmesh.E("fake", dotmesh.Unauthenticated, "no")
	if code := s.run("remote", "add", "other", "alice@hub.example.com"); code != exitDenied || !strings.Contains(s.err, "Permission denied") {
		t.Errorf("a wrong key: exit %d, %s", code, s.err)
	}
	delete(s.env, "DOTMESH_PASSWORD")
	s.secret = ""
	if code := s.run("remote", "add", "other", "alice@hub.example.com"); code != exitUsage {
		t.Errorf("no key: exit %d, %s", code, s.err)
	}
	info, err := os.Stat(s.config())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	s.run("remote", "rm", "here")
	if s.run("remote"); s.out != "  hub\n" {
		t.Errorf("dm remote prints %q", s.out)
	}
}

func TestTheServerThatIsUsed(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env  map[string]string
		want endpoint
	}{
		"the local socket":     {nil, endpoint{URL: "unix:///run/dotmesh/dm.sock"}},
		"another socket":       {map[string]string{"DM_HOST": "unix:///tmp/x.sock"}, endpoint{URL: "unix:///tmp/x.sock"}},
		"this machine in TCP":  {map[string]string{"DM_HOST": "http://localhost", "DM_API_KEY_FILE": key}, endpoint{URL: "http://localhost:32607", User: "admin", Key: "k"}},
		"another machine":      {map[string]string{"DM_HOST": "https://alice@x.example:1", "DM_API_KEY_FILE": key, "DM_CA_HASH": "H"}, endpoint{URL: "https://x.example:1", User: "alice", Key: "k", CAHash: "H"}},
		"an address of six":    {map[string]string{"DM_HOST": "https://[fd00::1]"}, endpoint{URL: "https://[fd00::1]:32607", User: "admin"}},
		"a host with a slash":  {map[string]string{"DM_HOST": "https://x.example/"}, endpoint{URL: "https://x.example:32607", User: "admin"}},
		"a loopback not named": {map[string]string{"DM_HOST": "http://127.0.0.2:80"}, endpoint{URL: "http://127.0.0.2:80", User: "admin"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t, shop())
			s.env = test.env
			if code := s.run("list"); code != exitOK || s.dialed != test.want {
				t.Errorf("dm list calls %+v, want %+v: %s", s.dialed, test.want, s.err)
			}
			s.run("switch", "shop")
			if s.run("log", "-n", "1"); s.err != "" {
				t.Errorf("the current dot is not remembered: %s", s.err)
			}
		})
	}
}

func TestFilesThatOthersMayReadAreRefused(t *testing.T) {
	s := newShell(t, shop())
	writeConfig(t, s, original)
	key := filepath.Join(s.home, "key")
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o660, 0o602} {
		if err := os.Chmod(s.config(), mode); err != nil {
			t.Fatal(err)
		}
		if code := s.run("list"); code != exitDenied || !strings.Contains(s.err, "chmod 600 "+s.config()) {
			t.Errorf("config %o: exit %d, %s", mode, code, s.err)
		}
		if code := s.run("remote", "rm", "hub"); code != exitDenied {
			t.Errorf("updating config %o: exit %d, %s", mode, code, s.err)
		}
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		if code := s.run("list", "--config", s.home+"/none", "--api-key-file", key); code != exitDenied {
			t.Errorf("key %o: exit %d, %s", mode, code, s.err)
		}
	}
}

func TestDamagedConfigs(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		code    int
	}{
		"nothing":                  {"", exitOK},
		"an empty object":          {"{}", exitOK},
		"CRLF":                     {"{\r\n\"CurrentRemote\":\"\"\r\n}\r\n", exitOK},
		"nulls":                    {`{"Remotes":{"a":null},"Hosts":{"b":null},"Mounts":{"c":null},"S3Remotes":{"d":null}}`, exitOK},
		"half a file":              {original[:200], exitUsage},
		"a list":                   {"[]", exitUsage},
		"another type":             {`{"Remotes":[]}`, exitUsage},
		"two values":               {"{}{}", exitUsage},
		"binary":                   {"\x00\xff", exitUsage},
		"a current remote gone":    {`{"CurrentRemote":"x"}`, exitNotFound},
		"a current dot that is no": {`{"Hosts":{"unix:///run/dotmesh/dm.sock":{"CurrentVolume":"a/b/c"}}}`, exitUsage},
		"too large":                {strings.Repeat(" ", maxConfig+1), exitUsage},
		"too deep":                 {`{"x":` + strings.Repeat("[", 100_000), exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t, shop())
			writeConfig(t, s, test.content)
			if code := s.run("list"); code != test.code {
				t.Errorf("dm list exits with %d, want %d: %s", code, test.code, s.err)
			}
			if s.run("remote", "rm", "nothing"); test.code == exitUsage && !bytes.Equal(read(t, s.config()), []byte(test.content)) {
				t.Errorf("a damaged file was changed")
			}
		})
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTwoUpdatesAtOnceLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "config")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			err := updateConfig(t.Context(), path, func(c *config) error {
				if c.Remotes == nil {
					c.Remotes = map[string]*remote{}
				}
				c.Remotes[fmt.Sprint(i)] = &remote{}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	c, err := loadConfig(path)
	if err != nil || len(c.Remotes) != 20 {
		t.Errorf("%d of 20 remotes are there, %v", len(c.Remotes), err)
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", folder.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

func TestAnUpdateThatFailsChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(original), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no")
	err := updateConfig(t.Context(), path, func(c *config) error {
		c.CurrentRemote = "other"
		return refused
	})
	if !errors.Is(err, refused) || string(read(t, path)) != original {
		t.Errorf("the update ends with %v and the file holds %s", err, read(t, path))
	}
}

func TestALockThatIsHeldIsGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	release, err := lockFile(t.Context(), path+".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := updateConfig(ctx, path, func(*config) error { return nil }); dotmesh.KindOf(err) != dotmesh.Busy {
		t.Errorf("the second update ends with %v", err)
	}
}

func TestALinkToTheConfigStaysALink(t *testing.T) {
	folder := t.TempDir()
	real, link := filepath.Join(folder, "real"), filepath.Join(folder, "link")
	if err := os.WriteFile(real, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	err := updateConfig(t.Context(), link, func(c *config) error {
		c.CurrentRemote = "x"
		return nil
	})
	if at, lerr := os.Readlink(link); err != nil || lerr != nil || at != real || !strings.Contains(string(read(t, real)), "x") {
		t.Errorf("the link is %q, %v, %v", at, err, lerr)
	}
}

// FuzzConfig: whatever is read can be written, reads back the same, and loses nothing
// that was an object's field.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"", "{}", original, `{"Remotes":{"a":null}}`, `{"remotes":{"a":{}}}`, `{"Remotes":{"a":{"rest":1,"Rest":2}}}`,
		`{"CurrentRemote":"a","CurrentRemote":"b"}`, `{"Mounts":{"/x":{"Volume":"\u0000"}}}`, `{"Remotes":{"a":{"Port":-1}}}`,
		`{"Theme":{"a":[1,2,{"b":null}]}}`, "[]", "null", `"x"`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(data)
		if err != nil {
			return
		}
		for _, server := range []*server{{Name: localSocket}, {Name: c.CurrentRemote, remote: true}} {
			c.volume(server)
		}
		c.list()
		first, err := json.Marshal(c)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := parseConfig(first)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, first)
		}
		second, err := json.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("it changes each time: %s, then %s, %v", first, second, err)
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal(data, &before) != nil || json.Unmarshal(first, &after) != nil {
			return
		}
		for name, value := range before {
			if _, ok := after[name]; !ok && !isNothing(name, value) {
				t.Fatalf("the field %q is lost", name)
			}
		}
	})
}

// isNothing reports whether a known field says as much as its absence.
func isNothing(name string, value json.RawMessage) bool {
	switch name {
	case "CurrentRemote":
		return string(value) == `""` || string(value) == "null"
	case "Remotes", "S3Remotes", "Hosts", "Mounts":
		var m map[string]any
		if json.Unmarshal(value, &m) != nil {
			return false
		}
		for _, v := range m {
			if v != nil {
				return false
			}
		}
		return true
	}
	return false
}
