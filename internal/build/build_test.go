package build_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh/internal/build"
)

func TestAProgramBuiltWithoutMakeHasAVersionToo(t *testing.T) {
	if build.Version() == "" {
		t.Error("it is empty")
	}
}

func TestTheLinkerSaysTheVersion(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "main.go")
	source := "package main\n\nimport \"dotmesh.io/dotmesh/internal/build\"\n\nfunc main() { print(build.Version()) }\n"
	if err := os.WriteFile(program, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	const name = "dotmesh.io/dotmesh/internal/build.version"
	if !strings.Contains(string(makefile), "-X "+name+"=$(VERSION)") {
		t.Errorf("make does not set %s", name)
	}
	// A file outside of the module may not import what is internal; an overlay puts it in.
	inside, err := filepath.Abs("planted/main.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, []byte(`{"Replace":{"`+inside+`":"`+program+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", "-overlay", overlay, "-ldflags", "-X "+name+"=v7-test", "./planted").CombinedOutput()
	if err != nil || string(out) != "v7-test" {
		t.Errorf("got %q, %v", out, err)
	}
}
