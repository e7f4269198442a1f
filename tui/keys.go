package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// scope says where a key means something: a set of places.
type scope uint16

// The places.
const (
	inDots scope = 1 << iota
	inBranches
	inCommits
	inNodes
	inTransfers
	inEvents
	inCluster
	inOps
	inFaults
	inForms // dialogs that do something; what else a key is there goes into their fields

	inBrowse = inDots | inBranches | inCommits
	inTables = inBrowse | inNodes | inTransfers | inOps
	anywhere = scope(0xffff)
)

// risk is what a key may do at worst.
type risk uint8

const (
	looks   risk = iota // changes nothing
	changes             // changes something, and undo takes it back
	drops               // may drop something: its key is a capital, nobody else's is
)

// binding is one line of the key table: what a key does where. Dispatch, hints, help, the
// palette and the settings all read it.
type binding struct {
	name string   // for the settings and the palette; stable
	keys []string // as Bubble Tea writes them
	in   scope
	risk risk
	hint string // one or two words for the last line; "": not shown there
	help string // what it does, for the help and the palette
	run  func(*ui) tea.Cmd
}

// bindings is the key table. Where a key stands twice its places do not overlap.
func bindings() []binding {
	return []binding{
		{"help", []string{"?"}, anywhere, looks, "help", "show all keys", (*ui).help},
		{"quit", []string{"q", "ctrl+c"}, anywhere, looks, "", "leave", (*ui).quit},
		{"palette", []string{":", "ctrl+k"}, anywhere, looks, "commands", "find a command, dot or node by a part of its name", (*ui).palette},
		{"filter", []string{"/"}, inTables | inEvents | inFaults, looks, "filter", "show only what matches: words, regular expressions, !not, key:value", (*ui).filter},
		{"refresh", []string{"r", "f5"}, anywhere, looks, "", "list everything anew", (*ui).refresh},

		{"dots", []string{"1"}, anywhere, looks, "", "dots, branches and commits", (*ui).goBrowse},
		{"nodes", []string{"2"}, anywhere, looks, "", "nodes and what they are the masters of", (*ui).goNodes},
		{"transfers", []string{"3"}, anywhere, looks, "", "transfers and moves under way", (*ui).goTransfers},
		{"events", []string{"4"}, anywhere, looks, "", "what happens, as it happens", (*ui).goEvents},
		{"cluster", []string{"5"}, anywhere, looks, "", "voters, certificates, tokens; init, join, upgrade", (*ui).goCluster},
		{"operations", []string{"6"}, anywhere, looks, "", "the operation log of the chosen dot", (*ui).goOps},
		{"errors", []string{"7"}, anywhere, looks, "", "all errors since the start, with what to do", (*ui).goFaults},
		{"back", []string{"esc", "backspace"}, anywhere, looks, "", "close, clear or go back", (*ui).back},
		{"earlier", []string{"["}, anywhere, looks, "", "the place before", (*ui).earlier},
		{"later", []string{"]"}, anywhere, looks, "", "the place after", (*ui).later},

		{"freeze", []string{"f"}, anywhere &^ inEvents &^ inFaults &^ inForms, looks, "", "let what is seen stand still, or go on", (*ui).freeze},

		{"down", []string{"down", "j"}, anywhere, looks, "", "down", move(1)},
		{"up", []string{"up", "k"}, anywhere, looks, "", "up", move(-1)},
		{"half-down", []string{"ctrl+d", "pgdown"}, anywhere, looks, "", "half a page down", page(0.5)},
		{"half-up", []string{"ctrl+u", "pgup"}, anywhere, looks, "", "half a page up", page(-0.5)},
		{"top", []string{"home", "g"}, anywhere, looks, "", "to the top", (*ui).top},
		{"bottom", []string{"end", "G"}, anywhere, looks, "", "to the bottom", (*ui).bottom},
		{"open", []string{"enter", "right", "l"}, inTables | inFaults, looks, "open", "go in, or show more", (*ui).open},
		{"out", []string{"left", "h"}, inBrowse, looks, "", "to the pane before", (*ui).out},
		{"pane", []string{"tab"}, inBrowse, looks, "", "to the next pane", (*ui).nextPane},
		{"pane-back", []string{"shift+tab"}, inBrowse, looks, "", "to the pane before", (*ui).prevPane},
		{"mark", []string{"space"}, inBrowse | inTransfers, looks, "mark", "mark, to act on several at once", (*ui).mark},
		{"mark-range", []string{"v"}, inBrowse | inTransfers, looks, "", "mark all up to here", (*ui).markRange},
		{"sort", []string{"o"}, inDots | inNodes, looks, "", "sort by the next column", (*ui).sortNext},
		{"reverse", []string{"i"}, inDots | inNodes, looks, "", "sort the other way round", (*ui).sortReverse},
		{"describe", []string{"d"}, inTables, looks, "describe", "describe; on a commit or branch: the files that differ", (*ui).describe},
		{"copy", []string{"y"}, inTables | inEvents | inFaults, looks, "copy", "copy the name or id", (*ui).copyName},
		{"copy-id", []string{"u"}, inBrowse, looks, "", "copy the id", (*ui).copyID},
		{"command-line", []string{"e"}, inBrowse, looks, "", "show and copy the dm command for what is chosen", (*ui).showCommand},
		{"stashes", []string{"t"}, inBranches, looks, "stashes", "show or fold the stashes", (*ui).foldStashes},

		{"commit", []string{"c"}, inBrowse, changes, "commit", "commit the data as they are now", (*ui).commit},
		{"init", []string{"n"}, inDots, changes, "new", "make a dot", (*ui).initDot},
		{"branch", []string{"b"}, inBrowse, changes, "branch", "make a branch from what is chosen; no bytes are copied", (*ui).branch},
		{"fork", []string{"p"}, inBrowse, changes, "", "make a dot of its own from what is chosen", (*ui).forkDot},
		{"checkout", []string{"s"}, inBranches, changes, "checkout", "make the branch the dot's current one", (*ui).checkout},
		{"undo", []string{"z"}, inBrowse | inOps, changes, "undo", "undo the dot's newest operation, or the one chosen", (*ui).undo},
		{"move", []string{"m"}, inDots | inBranches, changes, "move", "make another node the master", (*ui).move},
		{"settings", []string{"."}, inDots, changes, "", "replicas, rpo and how long stashes are kept", (*ui).dotSettings},
		{"reset", []string{"R"}, inBranches | inCommits, drops, "reset", "go back to the chosen commit; a stash keeps what is dropped", (*ui).reset},
		{"discard", []string{"X"}, inBrowse, drops, "discard", "drop what is in no commit; a stash keeps it", (*ui).discard},
		{"delete", []string{"D"}, inBrowse, drops, "delete", "delete the dot, branch or commit", (*ui).delete},
		{"takeover", []string{"T"}, inDots | inBranches, drops, "", "make another node the master without the old one", (*ui).takeover},
		{"drain", []string{"N"}, inNodes, drops, "drain", "move every branch away from the node", (*ui).drain},

		{"cancel", []string{"x"}, inTransfers, changes, "cancel", "end the transfer; what arrived whole stays", (*ui).cancelTransfer},
		{"retry", []string{"t"}, inTransfers, changes, "retry", "try a transfer again", (*ui).retryTransfer},
		{"follow", []string{"f"}, inEvents, looks, "follow", "follow what happens, or stand still", (*ui).follow},
		{"wrap", []string{"w"}, inEvents, looks, "wrap", "break long lines, or cut them", (*ui).toggleWrap},
		{"save", []string{"s"}, inEvents | inFaults, looks, "save", "save the lines shown in a file", (*ui).save},
		{"job", []string{"a"}, inCluster, changes, "init, join, upgrade, reset", "plan a change of the cluster", (*ui).clusterJob},
		{"token", []string{"n"}, inCluster, changes, "token", "make a token with which a node joins", (*ui).newToken},
		{"revoke", []string{"V"}, inCluster, drops, "revoke", "make a token useless", (*ui).revokeToken},

		{"copy-command", []string{"ctrl+y"}, inForms, looks, "copy command", "copy the dm command that does the same", (*ui).copyCommand},

		{"context", nil, anywhere, looks, "", "switch to another server (:ctx)", (*ui).switchContext},
		{"colours", nil, anywhere, looks, "", "the next palette: dark, light, none, ascii", (*ui).nextPalette},
		{"mouse", nil, anywhere, looks, "", "use the mouse, or leave it to the terminal", (*ui).toggleMouse},
	}
}

// keymap is the key table as the settings and read-only mode leave it.
type keymap []binding

// newKeymap returns the table with other keys for the names in rebound. In read-only mode
// what changes something is absent, from dispatch, hints, help and palette alike.
func newKeymap(rebound map[string][]string, readOnly bool) keymap {
	var all keymap
	for _, b := range bindings() {
		if readOnly && b.risk > looks {
			continue
		}
		if keys, ok := rebound[b.name]; ok {
			b.keys = keys
		}
		all = append(all, b)
	}
	return all
}

// find returns what a key does in a place, nil if nothing.
func (m keymap) find(key string, in scope) *binding {
	for i := range m {
		if m[i].in&in != 0 && slices.Contains(m[i].keys, key) {
			return &m[i]
		}
	}
	return nil
}

// key is how a binding's first key is shown.
func (b *binding) key() string {
	if len(b.keys) == 0 {
		return ""
	}
	return strings.NewReplacer("ctrl+", "^", "space", "spc", "shift+", "S-").Replace(b.keys[0])
}

func move(by int) func(*ui) tea.Cmd {
	return func(u *ui) tea.Cmd {
		u.shown().move(by)
		return u.moved()
	}
}

func page(by float64) func(*ui) tea.Cmd {
	return func(u *ui) tea.Cmd {
		u.shown().page(by)
		return u.moved()
	}
}
