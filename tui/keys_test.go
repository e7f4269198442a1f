package tui

import (
	"strings"
	"testing"
	"unicode"

	"dotmesh.io/dotmesh"
)

func TestNoKeyMeansTwoThingsInOnePlace(t *testing.T) {
	if err := clash(newKeymap(nil, false)); err != nil {
		t.Error(err)
	}
}

// TestWhatMayDropSomethingIsACapital: a slip of the finger must not lose anything.
func TestWhatMayDropSomethingIsACapital(t *testing.T) {
	for _, b := range bindings() {
		for _, key := range b.keys {
			capital := len(key) == 1 && unicode.IsUpper(rune(key[0]))
			switch {
			case b.risk == drops && !capital:
				t.Errorf("%s may drop something and its key is %s", b.name, key)
			case b.risk == changes && capital:
				t.Errorf("%s drops nothing and its key is %s", b.name, key)
			}
		}
	}
}

func TestReadOnlyModeHasNoKeyThatChangesSomething(t *testing.T) {
	for _, b := range newKeymap(map[string][]string{"commit": {"c"}}, true) {
		if b.risk > looks {
			t.Errorf("%s is there", b.name)
		}
	}
	drive(t, 120, 35, func(o *Options) { o.ReadOnly = true }, func(d *driver) {
		d.sees("READ ONLY")
		before := d.dot("shop")
		for _, key := range []string{"c", "R", "D", "X", "z", "b", "n", "m", "."} {
			d.keys(key)
			if d.u.dialog() != nil {
				t.Fatalf("%s opens a dialog", key)
			}
		}
		if after := d.dot("shop"); after.Branch.Pointer != before.Branch.Pointer {
			t.Error("the branch has changed")
		}
		d.keys(":")
		d.keys(" commit")
		d.seesNot(":commit ")
	})
}

func TestSettingsThatMakeNoSenseAreRefusedByName(t *testing.T) {
	for _, test := range []struct {
		settings Settings
		want     string
	}{
		{Settings{Palette: "pink"}, `palette: "pink"`},
		{Settings{Keys: map[string][]string{"comit": {"c"}}}, `keys: there is no "comit"`},
		{Settings{Keys: map[string][]string{"commit": {"q"}}}, "keys: q would be both"},
		{Settings{Keys: map[string][]string{"commit": {"Ctrl-S"}}}, `keys: commit: "Ctrl-S" is no key`},
		{Settings{Keys: map[string][]string{"commit": {"ctrl+S"}}}, `"ctrl+S" is no key`},
		{Settings{Keys: map[string][]string{"commit": {" "}}}, `" " is no key`},
		{Settings{Keys: map[string][]string{"commit": {""}}}, `"" is no key`},
		{Settings{Columns: []string{"NAME", "COLOUR"}}, `columns: there is no "COLOUR"`},
	} {
		err := test.settings.Validate()
		if dotmesh.KindOf(err) != dotmesh.Invalid || !strings.Contains(dotmesh.Text(err), test.want) {
			t.Errorf("%+v: got %v, want %s", test.settings, err, test.want)
		}
	}
	good := Settings{Palette: "light", Keys: map[string][]string{"commit": {"C", "é", "f9", "alt+enter", "ctrl+t"}}, Columns: []string{"NAME", "DIRTY"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestAnotherKeyDoesWhatTheSettingsSay(t *testing.T) {
	drive(t, 120, 35, func(o *Options) { o.Settings.Keys = map[string][]string{"commit": {"f9"}} }, func(d *driver) {
		d.keys("c")
		if d.u.dialog() != nil {
			t.Error("the old key still works")
		}
		if d.u.keys.find("f9", inDots) == nil {
			t.Error("the new key does not")
		}
		d.keys("?")
		d.sees("f9")
	})
}

// TestTextFieldsGetEveryPrintableKey: while text is typed no key is a command.
func TestTextFieldsGetEveryPrintableKey(t *testing.T) {
	const all = "azqrcR?:/.123 ,;!X"
	for name, open := range map[string]string{"filter": "/", "palette": ":", "commit": "c", "new dot": "n"} {
		t.Run(name, func(t *testing.T) {
			drive(t, 120, 35, nil, func(d *driver) {
				d.keys(open)
				for _, r := range all {
					d.send(press(string(r)))
					d.drain()
				}
				if d.u.dialog() == nil {
					t.Fatal("a key has closed the dialog")
				}
				var got string
				switch dialog := d.u.dialog().(type) {
				case *filterLine:
					got = dialog.input.value()
				case *menu:
					got = dialog.typing.value()
				case *form:
					got = dialog.fields[0].value()
				}
				if got != all {
					t.Errorf("the field holds %q, want %q", got, all)
				}
			})
		})
	}
}

// TestEveryKeyOfTheTableIsAKey: a setting can name what the table names.
func TestEveryKeyOfTheTableIsAKey(t *testing.T) {
	for _, b := range bindings() {
		for _, key := range b.keys {
			if !isKey(key) {
				t.Errorf("%s: %q", b.name, key)
			}
		}
	}
}
