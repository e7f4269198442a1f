package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
	"dotmesh.io/dotmesh/tui"
)

type uiOptions struct {
	*env
	Demo     bool
	Dots     int // of the demo
	Plain    bool
	ReadOnly bool
	Palette  string
	Settings string
}

func newUICommand(e *env) *cobra.Command {
	o := &uiOptions{env: e}
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Open the terminal UI",
		Long: `Open the terminal UI: dots, branches, commits, nodes, transfers and events, live, and every
operation on a key. "?" shows the keys. "dm" alone opens it too, where there is a terminal.

Where there is none "dm ui" prints a summary. --plain, ACCESSIBLE=1 and TERM=dumb ask for
text and numbered questions instead of a screen, as screen readers need it.

--demo shows a cluster of three nodes that exists only in memory: everything can be tried
there and nothing is changed.

Settings are read from ui.yaml beside the config file: palette, keys, columns, read_only (a
list of remotes), mouse.`,
		Example: "  dm ui\n  dm ui --demo\n  dm ui --read-only --palette light",
		Args:    args(0, 0, ""),
		RunE:    untimed(func(ctx context.Context, _ []string) error { return runUI(ctx, o) }),
	}
	f := cmd.Flags()
	f.BoolVar(&o.Demo, "demo", false, "look around in a cluster that exists only in memory")
	f.IntVar(&o.Dots, "demo-dots", 12, "how many dots that has, at least 12")
	f.BoolVar(&o.Plain, "plain", false, "text and numbered questions instead of a screen")
	f.BoolVar(&o.ReadOnly, "read-only", false, "change nothing: the keys that would are absent")
	f.StringVar(&o.Palette, "palette", "", "colours: "+strings.Join(tui.Palettes(), ", "))
	f.StringVar(&o.Settings, "settings", "", "file with settings (default ui.yaml beside the config file)")
	must(cmd.RegisterFlagCompletionFunc("palette", cobra.FixedCompletions(tui.Palettes(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// runUI opens the UI, or what stands in for it where there is no terminal.
func runUI(ctx context.Context, o *uiOptions) error {
	options, err := o.options()
	if err != nil {
		return err
	}
	if o.Demo {
		return o.runDemo(ctx, options)
	}
	server, err := o.whom()
	if err != nil {
		return err
	}
	if options.Service, err = o.connect(); err != nil {
		return err
	}
	options.Where = server.title()
	options.ReadOnly = o.ReadOnly || slices.Contains(options.Settings.ReadOnly, options.Where)
	if options.Contexts, err = o.contexts(options.Settings.ReadOnly); err != nil {
		return err
	}
	return o.open(ctx, options)
}

// open shows the UI as the terminal allows.
func (o *uiOptions) open(ctx context.Context, options tui.Options) error {
	plain := o.Plain || o.Getenv("ACCESSIBLE") != "" || o.Getenv("TERM") == "dumb"
	switch {
	case o.IO.Screen == nil && !plain && !o.Demo:
		return runSummary(ctx, &summaryOptions{env: o.env})
	case o.IO.Screen == nil || plain:
		options.Out = o.IO.Out
		return tui.Plain(ctx, options, o.IO.Out.Flush)
	}
	options.Out = o.IO.Screen
	if o.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // unlike other commands it stays, and holds much for a long time and makes little garbage
	}
	path := o.Getenv("DM_TUI_TRACE")
	if path == "" {
		return tui.Run(ctx, options)
	}
	trace, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return failure("write DM_TUI_TRACE", err)
	}
	options.Trace = trace
	return errors.Join(tui.Run(ctx, options), trace.Close())
}

// options are what does not depend on the server.
func (o *uiOptions) options() (tui.Options, error) {
	settings, err := o.settings()
	if err != nil {
		return tui.Options{}, err
	}
	if o.Palette != "" && !slices.Contains(tui.Palettes(), o.Palette) {
		return tui.Options{}, usage("--palette is one of %s", strings.Join(tui.Palettes(), ", "))
	}
	options := tui.Options{
		Command: o.commandLine, Save: saveNew, In: o.IO.In, Env: os.Environ(), Now: o.Now,
		ReadOnly: o.ReadOnly, Palette: o.Palette, Settings: settings,
	}
	return options, nil
}

// settings reads the file with the settings. None is the default.
func (o *uiOptions) settings() (s tui.Settings, err error) {
	path := o.Settings
	if path == "" {
		config, err := o.configPath()
		if err != nil {
			return s, err
		}
		path = filepath.Join(filepath.Dir(config), "ui.yaml")
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.Settings == "":
		return s, nil
	case err != nil:
		return s, failure("read the UI's settings", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil && len(bytes.TrimSpace(data)) > 0 {
		return s, dotmesh.E("read settings", dotmesh.Invalid, "%s: %s", path, strings.Join(strings.Fields(err.Error()), " "))
	}
	return s, s.Validate()
}

// contexts are the servers that the config file knows.
func (o *uiOptions) contexts(readOnly []string) (all []tui.Context, err error) {
	c, err := o.loadConfig()
	if err != nil {
		return nil, err
	}
	add := func(name string, e endpoint) {
		all = append(all, tui.Context{
			Name: name, URL: e.URL, ReadOnly: o.ReadOnly || slices.Contains(readOnly, name),
			Connect: func() (dotmesh.Service, error) { return o.Dial(e) },
		})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Remotes)) {
		add(name, c.Remotes[name].endpoint())
	}
	if c.Remotes["local"] == nil {
		add("local", endpoint{URL: localSocket})
	}
	return all, nil
}

// runDemo opens the UI on a cluster in memory.
func (o *uiOptions) runDemo(ctx context.Context, options tui.Options) error {
	demo := democluster.New(democluster.Options{Dots: max(o.Dots, 12), Seed: 1, Now: o.Now})
	options.Service, options.Operator, options.Where = demo, demo.Operator(), "demo (nothing here is real)"
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return demo.Run(ctx) })
	g.Go(func() error {
		err := o.open(ctx, options)
		if err == nil {
			stop() // an error ends the cluster, too, and must be the first
		}
		return err
	})
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// commandLine checks that dm takes arguments, and writes them as a shell does.
func (o *uiOptions) commandLine(given []string) (string, error) {
	root := newRoot(&env{IO: o.IO, Getenv: o.Getenv, Home: o.Home, Now: o.Now, Dial: o.Dial})
	cmd, rest, err := root.Find(given)
	if err != nil {
		return "", err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return "", err
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return "", err
	}
	words := []string{"dm"}
	for _, word := range given {
		words = append(words, quoted(word))
	}
	return strings.Join(words, " "), nil
}

// quoted is a word as a POSIX shell reads it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-^~", r))
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// saveNew writes a file of the current folder that was not there, readable by its owner.
func saveNew(name string, text []byte) (string, error) {
	f, err := os.OpenFile(filepath.Base(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", failure("save", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", failure("save", err)
	}
	path, err := filepath.Abs(f.Name())
	return path, err
}
