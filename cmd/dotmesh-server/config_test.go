package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"github.com/spf13/pflag"
)

func TestFlagWinsOverEnvironmentOverFileOverDefault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := "data-dir: /file\nlisten: 127.0.0.1:1\nnode-name: file\netcd-endpoints: [https://a:1, https://b:2]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	given, set := DefaultConfig(), pflag.NewFlagSet("", pflag.ContinueOnError)
	given.flags(set)
	if err := set.Parse([]string{"--config", file, "--data-dir", "/flag", "--pool-size=1G"}); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"DOTMESH_DATA_DIR": "/env", "DOTMESH_LISTEN": "127.0.0.1:2", "DOTMESH_PASSWORD": "not ours"}
	got, err := given.settle(set, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.DataDir, want.Listen, want.NodeName, want.PoolSize = "/flag", "127.0.0.1:2", "file", "1G"
	want.EtcdEndpoints = "https://a:1,https://b:2"
	if *got != *want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestConfigFileThatMakesNoSense(t *testing.T) {
	for name, test := range map[string]struct{ text, complaint string }{
		"an unknown setting":       {"datadir: /x", `no setting "datadir"`},
		"a setting given twice":    {"listen: a\nlisten: b", "already defined"},
		"a map where text belongs": {"listen: {port: 1}", "listen: line 1: the value must be text"},
		"a list of lists":          {"etcd-endpoints: [[a]]", "etcd-endpoints: line 1"},
		"a list instead of a map":  {"- listen", "cannot unmarshal"},
		"a text without an end":    {"listen: 'x", "unexpected end"},
		"two documents":            {"listen: ''\n---\nlisten: ''", "one document"},
		"a bomb of aliases":        {"a: &a [x,x]\nb: &b [*a,*a]\nlisten: *b", "no setting"},
		"a file too large":         {"# " + strings.Repeat("x", maxConfig), "larger than"},
		"a NUL in a path":          {"socket: \"/a\\0b\"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			err := c.Read([]byte(test.text))
			if err == nil {
				err = c.Validate()
			} else if *c != *DefaultConfig() {
				t.Error("settings were taken from a file that was refused")
			}
			if !errors.Is(err, dotmesh.Invalid) || !strings.Contains(dotmesh.Text(err), test.complaint) {
				t.Errorf("got %v, want a complaint with %q", err, test.complaint)
			}
		})
	}
}

func TestValidateNamesTheFieldAndTheFix(t *testing.T) {
	for _, test := range []struct {
		field  string
		change func(*Config)
	}{
		{"data-dir", func(c *Config) { c.DataDir = "relative" }},
		{"data-dir", func(c *Config) { c.DataDir = "/" + strings.Repeat("long/", 25) }},
		{"socket", func(c *Config) { c.Socket = "" }},
		{"socket", func(c *Config) { c.Socket = "/" + strings.Repeat("s", 120) }},
		{"listen", func(c *Config) { c.Listen = "32607" }},
		{"listen", func(c *Config) { c.Listen = "0.0.0.0:32607" }},
		{"listen", func(c *Config) { c.Listen = "example.com:32607" }},
		{"listen", func(c *Config) { c.Listen = "127.0.0.1:http" }},
		{"listen", func(c *Config) { c.Listen = "127.0.0.1:99999" }},
		{"storage", func(c *Config) { c.Storage = "" }},
		{"storage", func(c *Config) { c.Storage = "auto:/x" }},
		{"storage", func(c *Config) { c.Storage = "btrfs:x" }},
		{"storage", func(c *Config) { c.Storage = "zfs:a/b" }},
		{"storage", func(c *Config) { c.Storage = "btrfs-file:/a\nb" }},
		{"pool-size", func(c *Config) { c.PoolSize = "" }},
		{"pool-size", func(c *Config) { c.PoolSize = "G" }},
		{"pool-size", func(c *Config) { c.PoolSize = "-1G" }},
		{"pool-size", func(c *Config) { c.PoolSize = "+1G" }},
		{"pool-size", func(c *Config) { c.PoolSize = "1M" }},
		{"pool-size", func(c *Config) { c.PoolSize = "9223372036854775807T" }},
		{"node-name", func(c *Config) { c.NodeName = "Upper" }},
		{"node-name", func(c *Config) { c.NodeName = "-a" }},
		{"node-name", func(c *Config) { c.NodeName = strings.Repeat("a", 33) }},
		{"etcd-endpoints", func(c *Config) { c.EtcdEndpoints = "localhost:2379" }},
		{"etcd-endpoints", func(c *Config) { c.EtcdEndpoints = "https://a:1," }},
		{"log-format", func(c *Config) { c.LogFormat = "xml" }},
		{"log-level", func(c *Config) { c.LogLevel = "loud" }},
	} {
		c := DefaultConfig()
		test.change(c)
		err := c.Validate()
		if text := dotmesh.Text(err); !errors.Is(err, dotmesh.Invalid) || !strings.HasPrefix(text, test.field+": ") {
			t.Errorf("%+v: got %v, want a complaint about %s", c, err, test.field)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"", "# nothing", "data-dir: /x\npool-size: 300M\n", "listen: ''\r\n", "storage: btrfs:/x/../y", "etcd-endpoints: [unix:///x]",
		"<<: {listen: x}", "listen: !!binary x", "listen: *x", "pool-size: 1e9", "\xff", "? [a]\n: b", "node-name: 0x10",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := DefaultConfig()
		if err := c.Read(text); err != nil {
			if *c != *DefaultConfig() || !errors.Is(err, dotmesh.Invalid) {
				t.Errorf("%q: refused with %v, and left %+v", text, err, c)
			}
			return
		}
		if c.Validate() != nil {
			return
		}
		s, err := parseStorage(c.Storage)
		if again, err2 := parseStorage(s.String()); err != nil || err2 != nil || again != s {
			t.Errorf("storage %q is read as %v and then as %v", c.Storage, s, again)
		}
		if size, err := parseSize(c.PoolSize); err != nil || size < 256<<20 {
			t.Errorf("pool size %q is %d, %v", c.PoolSize, size, err)
		}
	})
}

func TestWrongUseIsExitCode2(t *testing.T) {
	for _, args := range [][]string{
		{"--no-such-flag"}, {"argument"}, {"etcd", "argument"}, {"--listen", "0.0.0.0:1"}, {"--config", "/no/such/file"}, {"etcd", "--socket", "x"},
	} {
		var talk bytes.Buffer
		if code := run(t.Context(), args, func(string) string { return "" }, io.Discard, &talk); code != exitUsage || !strings.HasPrefix(talk.String(), "Error: ") {
			t.Errorf("%v: got exit code %d and %q", args, code, talk.String())
		}
	}
}
