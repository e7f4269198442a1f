package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

//go:generate go test -run ^TestCommandReference$ -update .

// update writes the generated files instead of comparing them.
var update = flag.Bool("update", false, "write docs/cli.md")

const reference = "../../docs/cli.md"

func TestCommandReference(t *testing.T) {
	s := newShell(t, shop())
	var doc bytes.Buffer
	fmt.Fprintln(&doc, "# The dm command\n\nGenerated from the program by `go generate ./cmd/dm`; `dm help COMMAND` says the same.")
	walk(newRoot(s.environment(&bytes.Buffer{}, &bytes.Buffer{})), func(cmd *cobra.Command) { document(&doc, cmd) })
	if *update {
		if err := os.WriteFile(reference, doc.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, doc.Bytes()) {
		t.Error("docs/cli.md is not what the program says; write it anew with: go generate ./cmd/dm")
	}
}

// walk visits a command and its subcommands, in the order of the help.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		if child.Name() != "help" {
			walk(child, visit)
		}
	}
}

func document(doc *bytes.Buffer, cmd *cobra.Command) {
	fmt.Fprintf(doc, "\n%s %s\n\n", strings.Repeat("#", min(2+strings.Count(cmd.CommandPath(), " "), 4)), cmd.CommandPath())
	fmt.Fprintf(doc, "```text\n%s\n```\n\n%s\n\n", cmd.UseLine(), prose(cmd.Long))
	fmt.Fprintf(doc, "```sh\n%s\n```\n", unindent(cmd.Example))
	flags := cmd.LocalFlags()
	if cmd.HasParent() {
		flags = cmd.NonInheritedFlags()
	}
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprint(doc, "\n| flag | environment | |\n|---|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		fmt.Fprintf(doc, "| %s | %s | %s |\n", spelling(f), code(flagVariable(f)), f.Usage)
	})
}

func spelling(f *pflag.Flag) string {
	name, _ := pflag.UnquoteUsage(f)
	long := strings.TrimSpace("--" + f.Name + " " + name)
	if f.Shorthand != "" {
		return code("-"+f.Shorthand) + ", " + code(long)
	}
	return code(long)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// prose is help as Markdown: what is indented is shown as it is.
func prose(help string) string {
	var doc strings.Builder
	for block := range strings.SplitSeq(strings.ReplaceAll(help, ":\n  ", ":\n\n  "), "\n\n") {
		if strings.HasPrefix(block, "  ") {
			block = "```text\n" + unindent(block) + "\n```"
		}
		doc.WriteString(block + "\n\n")
	}
	return strings.TrimSpace(doc.String())
}

func unindent(example string) string {
	lines := strings.Split(example, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

func TestEveryCommandIsExplained(t *testing.T) {
	s := newShell(t, shop())
	root := newRoot(s.environment(&bytes.Buffer{}, &bytes.Buffer{}))
	walk(root, func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s has no short text, no text or no example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			if !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q is not indented by two", cmd.CommandPath(), line)
			}
		}
		for line := range strings.SplitSeq(cmd.Long, "\n") {
			if len(line) > 100 {
				t.Errorf("%s: a line of its help is longer than 100", cmd.CommandPath())
			}
		}
		if code := s.run(append(strings.Fields(cmd.CommandPath())[1:], "--help")...); code != exitOK || !strings.Contains(s.out, cmd.Example) {
			t.Errorf("%s --help exits with %d and shows no example", cmd.CommandPath(), code)
		}
	})
	if s.run("--help"); !strings.Contains(s.out, exitHelp) {
		t.Error("dm --help does not tell the exit codes")
	}
	if s.run("help", "dot", "show"); !strings.Contains(s.out, "defaultUpstreamDot") {
		t.Errorf("dm help dot show prints %q", s.out)
	}
}

func TestWhatActsOnADotTakesItsName(t *testing.T) {
	s := newShell(t, shop())
	root := newRoot(s.environment(&bytes.Buffer{}, &bytes.Buffer{}))
	for _, path := range []string{
		"branch", "checkout", "commit", "commit delete", "log", "reset", "discard", "undo", "op log", "diff", "status",
		"dot show", "dot fork", "dot set-upstream", "dot smash-branch-master",
	} {
		cmd, _, err := root.Find(strings.Fields(path))
		if err != nil || cmd.Flags().Lookup("dot") == nil {
			t.Errorf("dm %s has no --dot: %v", path, err)
		}
	}
	for _, path := range []string{"commit", "commit delete", "log", "reset", "discard", "diff", "status", "mount"} {
		cmd, _, err := root.Find(strings.Fields(path))
		if err != nil || cmd.Flags().Lookup("branch") == nil {
			t.Errorf("dm %s has no --branch: %v", path, err)
		}
	}
}
