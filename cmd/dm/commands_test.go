package main

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/build"
)

const (
	idShop    = "01112233-4455-4677-8899-aabbccddeeff"
	idAttempt = "02112233-4455-4677-8899-aabbccddeeff"
	idStash   = "03112233-4455-4677-8899-aabbccddeeff"
	idInitial = "c0112233-4455-4677-8899-aabbccddeeff"
	idFirst   = "c1112233-4455-4677-8899-aabbccddeeff"
	idMove    = "d1112233-4455-4677-8899-aabbccddeeff"
	idReplica = "d2112233-4455-4677-8899-aabbccddeeff"
	idPush    = "d3112233-4455-4677-8899-aabbccddeeff"
	idCluster = "e0112233-4455-4677-8899-aabbccddeeff"
	idToken   = "e1112233-4455-4677-8899-aabbccddeeff"
	idSecond  = "c2112233-4455-4677-8899-aabbccddeeff"
)

// admin names a dot of the administrator.
func admin(name dotmesh.Name) dotmesh.DotName {
	return dotmesh.DotName{Namespace: dotmesh.AdminNamespace, Name: name}
}

func TestOutput(t *testing.T) {
	t.Setenv("TZ", "UTC")
	time.Local = time.UTC
	for name, test := range map[string]struct {
		line string
		want string
	}{
		"list has its title, its header, a star and the sizes of people": {
			"list", `Current remote: local (use 'dm remote -v' to list and 'dm remote switch' to switch)

  DOT   BRANCH  SERVER  CONTAINERS  SIZE      COMMITS  DIRTY
* shop  master  node-1  /db,/web    3.00 MiB  3        1.50 kiB
`,
		},
		"ls is list, and -H has a tab after every field and raw bytes": {
			"ls -H", "shop\tmaster\t00000000000000a1\t/db,/web\t3145728\t3\t1536\t\n",
		},
		"branch marks the current one and sorts": {
			"branch", "  attempt\n* master\n",
		},
		"branch -H": {
			"branch -H", "attempt\t" + idAttempt + "\t" + idSecond + "\t00000000000000a1\t\n" +
				"master\t" + idShop + "\t" + idSecond + "\t00000000000000a1\t\n",
		},
		"branch --stashes": {
			"branch --stashes", `STASH                          REASON  SERVER  COMMITS  MADE                 KEPT UNTIL
master-RESET-20261122T101500Z  reset   node-1  3        2026-11-22 10:15:00  2026-12-22 10:15:00
`,
		},
		"branch --stashes -H": {
			"branch --stashes -H", "master-RESET-20261122T101500Z\t" + idStash + "\t" + idSecond + "\t00000000000000a1\treset\t2026-12-22T10:15:00Z\t\n",
		},
		"log is oldest first, with sorted metadata and an indented message": {
			"log", "commit " + idInitial + "\nauthor: admin\ndate: 1795342692000000000\n\n    Initial commit\n\n" +
				"commit " + idFirst + "\nauthor: admin\ndate: 1795342693000000000\n\n    first\n\n" +
				"commit " + idSecond + "\nauthor: admin\ndate: 1795342694000000000\na: 1=2\njob: backup\n\n    second\n    \n    with a body\n\n",
		},
		"log -n shows the newest": {
			"log -H -n 1", idSecond + "\tadmin\t1795342694000000000\tuser\tsecond\\x0a\\x0awith a body\t\n",
		},
		"commit prints the bare id": {
			"commit -m hello", "c9112233-4455-4677-8899-aabbccddeeff\n",
		},
		"op log": {
			"op log", `N  TIME                 BY     WHAT    BRANCH  FROM      TO        WHY
2  2026-11-22 10:15:00  admin  undo 1  master  c2112233  c1112233  
1  2026-11-22 10:15:00  admin  commit  master  -         -         
`,
		},
		"op log -H": {
			"op log -H -n 1", "2\t2026-11-22T10:15:00Z\tadmin\tundo\tmaster\t" + idSecond + "\t" + idFirst + "\t1\t\t\n",
		},
		"diff":    {"diff", "A __default__/new\nM __default__/old\nD gone\n"},
		"diff -H": {"diff -H", "added\t5\t__default__/new\t\nmodified\t7\t__default__/old\t\nremoved\t9\tgone\t\n"},
		"diff -o json is one object a line": {
			"diff -o json HEAD^ HEAD", `{"path":"__default__/new","kind":"added","size":5}
{"path":"__default__/old","kind":"modified","size":7}
{"path":"gone","kind":"removed","size":9}
`,
		},
		"status": {
			"status", "On branch master of shop (current)\nHEAD " + idSecond + ", 3 commits, 3.00 MiB\nMaster node-1, epoch 4\n" +
				"1.50 kiB in no commit, as of 3 s ago\nUsed by /db\nUsed by /web\nOn node-1: is up to date\nOn node-2: is missing 1 commit, out of reach\n",
		},
		"status -H": {"status -H", "master\t" + idSecond + "\t3\t1536\t3145728\t00000000000000a1\t\n"},
		"status of a branch that nobody measured": {
			"status --branch attempt", "On branch attempt of shop\nHEAD " + idSecond + ", 3 commits, -\nMaster node-1, epoch 4\n" +
				"What is in no commit has not been measured yet (--fresh measures it)\n",
		},
		"dot show": {
			"dot show shop", "Dot admin/shop:\nMaster branch ID: " + idShop + "\nCommit count: 3\nSize: 3.00 MiB (1.50 kiB dirty)\nBranches:\n" +
				"* master (" + idShop + ") (containers: /db,/web)\n" +
				"    server 00000000000000a1 [MASTER] (active: waiting, 3 snaps (v4)) is up to date\n" +
				"    server 00000000000000b2 (missing: out of reach, 2 snaps (v4)) is missing [" + idSecond + "]\n" +
				"  attempt (" + idAttempt + ") (containers: none)\n" +
				"Stashes: 1 (use 'dm branch --stashes' to list)\n",
		},
		"dot show -H": {
			"dot show -H", "namespace\tadmin\nname\tshop\nmasterBranchId\t" + idShop + "\nselected\ncommitCount\t3\nsize\t3145728\ndirty\t1536\n" +
				"currentBranch\tmaster\nbranch\t" + idShop + "\tmaster\ncontainer\tmaster\t/db\ncontainer\tmaster\t/web\n" +
				"branch\t" + idAttempt + "\tattempt\nbranch\t" + idStash + "\tmaster-RESET-20261122T101500Z\n" +
				"latency\t00000000000000a1\tmaster\tactive: waiting, 3 snaps (v4)\n" +
				"latency\t00000000000000b2\treplica\tmissing: out of reach, 2 snaps (v4)\t" + idSecond + "\n",
		},
		"version has six words after its first line": {
			"version", "Current remote: local\n\nClient:\n\tVersion: " + build.Version() + "\nServer:\n\tVersion: 1.0\n",
		},
		"version --client":             {"version --client", "Client:\n\tVersion: " + build.Version() + "\n"},
		"remote without any":           {"remote", ""},
		"remote -o json without any":   {"remote -o json", "[]\n"},
		"debug calls the original's":   {"debug Ping", "{\n  \"result\": \"fine\"\n}\n"},
		"debug prints YAML when asked": {"debug Ping -o yaml", "result: fine\n"},
		"cluster status": {
			"cluster status", "Cluster " + idCluster + ", 1 voter: changes are possible\n\n" + `  NODE    ID                STATE          MASTERS  BEHIND  VERSION  SIZE       FREE      POOL
* node-1  00000000000000a1  alive, leader  2        -       1.0      10.00 GiB  9.00 GiB  btrfs

CERTIFICATE  GOOD UNTIL           SHA-256
authority    2036-11-22 10:15:00  00ff

TOKEN                                 MADE BY  GOOD UNTIL           FOR
e1112233-4455-4677-8899-aabbccddeeff  admin    2026-11-22 11:15:00  a node with a vote
`,
		},
		"cluster status -H": {"cluster status -H", "00000000000000a1\tnode-1\talive\t1.0\tbtrfs\t10737418240\t9663676416\t\tleader\t2\t0\t0\t\t2026-11-22T10:15:00Z\t\n"},
		"transfers": {
			"transfers", `ID        KIND     BRANCH             FROM    TO      STATE              COMMITS  SENT                  RATE          LEFT  WHY
d1112233  move     shop@master        node-1  node-2  running (receive)  1 of 3   1.00 MiB of 4.00 MiB  512.00 kiB/s  6s    
d2112233  replica  shop@attempt       node-1  node-2  waiting            0        -                     -             -     node-2 is out of reach; try 3 in 5s
d3112233  push     alice/blog@master  node-1  hub     done               2 of 2   1.50 kiB of 1.50 kiB  -             -     
`,
		},
		"transfers -H": {
			"transfers -H", idMove + "\tmove\tshop\tmaster\tnode-1\tnode-2\trunning\treceive\t1\t3\t1048576\t4194304\t524288\t1\t2026-11-22T10:15:00Z\t\t\t\t\n" +
				idReplica + "\treplica\tshop\tattempt\tnode-1\tnode-2\twaiting\t\t0\t0\t0\t0\t0\t2\t2026-11-22T10:15:00Z\t2026-11-22T10:15:05Z\t\tnode-2 is out of reach\t\n" +
				idPush + "\tpush\talice/blog\tmaster\tnode-1\thub\tdone\t\t2\t2\t1536\t1536\t0\t1\t2026-11-22T10:15:00Z\t\t2026-11-22T10:15:00Z\t\t\n",
		},
		"transfers cancel prints nothing": {"transfers cancel d1", ""},
		"a move prints the transfer's id": {"move shop node-2", idMove + "\n"},
		"a token prints its secret":       {"cluster token", "the secret\n"},
		"a token in YAML":                 {"cluster token --voter -o yaml", "id: " + idToken + "\nvoter: true\nby: admin\ncreated: \"2026-11-22T10:15:00Z\"\nexpires: \"2026-11-22T11:15:00Z\"\nsecret: \"the secret\"\n"},
		"drain prints the transfers": {
			"cluster drain node-1", `ID        KIND  BRANCH       FROM    TO      STATE              COMMITS  SENT                  RATE          LEFT  WHY
d1112233  move  shop@master  node-1  node-2  running (receive)  1 of 3   1.00 MiB of 4.00 MiB  512.00 kiB/s  6s    
`,
		},
		"drain --stop prints nothing": {"cluster drain node-1 --stop", ""},
		"cluster recover":             {"cluster recover", "Recovered 1 dot, 2 branches and 3 commits.\nNote: one\\x1b[31m note\n"},
		"cluster backup-etcd": {
			"cluster backup-etcd", "{\n  \"version\": \"v2\",\n  \"created\": \"2026-11-22T10:15:00Z\",\n  \"entries\": [\n    {\n      \"key\": \"cluster\",\n      \"value\": \"e30=\"\n    }\n  ]\n}\n",
		},
		"dm alone": {
			"", `Dotmesh 1.0 on local: 1 node, 1 dot, 1 of them dirty

  NODE    ID                STATE          MASTERS  BEHIND  VERSION  SIZE       FREE      POOL
* node-1  00000000000000a1  alive, leader  2        -       1.0      10.00 GiB  9.00 GiB  btrfs

  DOT   BRANCH  BRANCHES  COMMITS  DIRTY     USED BY
* shop  master  3         3        1.50 kiB  /db,/web
`,
		},
		"what only acts prints nothing": {"reset HEAD^", ""},
		"switch prints nothing":         {"switch shop", ""},
		"init prints nothing":           {"init other", ""},
		"checkout prints nothing":       {"checkout attempt", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t, shop())
			if code := s.run(strings.Fields(test.line)...); code != exitOK {
				t.Fatalf("dm %s exits with %d: %s", test.line, code, s.err)
			}
			if s.out != test.want {
				t.Errorf("dm %s prints\n%q, want\n%q", test.line, s.out, test.want)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		line string
		code int
		says string
	}{
		"a dot that exists":               {"init shop", exitConflict, "Error: shop exists already"},
		"a dot that cannot be":            {"init -- -o", exitUsage, "invalid dot name"},
		"a dot of a hostile name":         {"init a\x1b[31m", exitUsage, `invalid dot name "a\x1b[31m"`},
		"switching to no dot":             {"switch nothing", exitNotFound, "Error: nothing doesn't exist"},
		"a branch that exists":            {"checkout -b attempt", exitConflict, "Error: Branch already exists: attempt"},
		"a branch that is not there":      {"checkout nothing", exitNotFound, "Error: Branch does not exist: nothing"},
		"checkout of no dot":              {"checkout attempt --dot nothing", exitNotFound, `no dot called "nothing"`},
		"deleting no branch":              {"branch -d nothing", exitNotFound, "Branch does not exist: nothing"},
		"to make a branch that exists":    {"branch attempt", exitConflict, "Error: Branch already exists: attempt"},
		"a name among the stashes":        {"branch --stashes new", exitUsage, "takes no name"},
		"branch -d and --stashes":         {"branch -d --stashes x", exitUsage, "cannot both be had"},
		"branch -d without":               {"branch -d", exitUsage, "needs the name of a branch"},
		"a commit without a message":      {"commit", exitUsage, "a commit needs a message"},
		"metadata without a value":        {"commit -m x -d job", exitUsage, "name=value"},
		"metadata in capitals":            {"commit -m x -d Job=1", exitUsage, "Metadata field names must start with lowercase characters: Job"},
		"a commit id that is none":        {"commit -m x -d #commit-id=x", exitUsage, "invalid id"},
		"waiting for nodes that are not":  {"commit -m x --wait 2", exitFailure, "does not copy commits to other nodes yet"},
		"waiting for nonsense":            {"commit -m x --wait some", exitUsage, "--wait takes a number"},
		"mounting no dot":                 {"mount nothing /tmp/dm-test-nothing", exitNotFound, "Error: Dot nothing does not exist. Use --create"},
		"unmounting nothing":              {"unmount /tmp/dm-test-nothing", exitNotFound, "dm mounted nothing at /tmp/dm-test-nothing"},
		"an unknown command":              {"comit", exitUsage, "did you mean commit"},
		"an unknown subcommand":           {"dot shw", exitUsage, "did you mean set or show"},
		"an unknown flag":                 {"list --nothing", exitUsage, "unknown flag: --nothing"},
		"too many arguments":              {"list shop", exitUsage, "takes no arguments"},
		"an unknown format":               {"list -o xml", exitUsage, "text, json or yaml"},
		"two formats":                     {"list -H -o json", exitUsage, "cannot both be had"},
		"an operation of no number":       {"undo last", exitUsage, "an operation's number"},
		"no remote":                       {"remote switch nothing", exitNotFound, `there is no remote "nothing"`},
		"removing no remote":              {"remote rm nothing", exitNotFound, `there is no remote "nothing"`},
		"a remote without a user":         {"remote add hub example.com", exitUsage, "user@host"},
		"a remote on no port":             {"remote add hub a@example.com:0", exitUsage, "user@host"},
		"a remote that is a URL":          {"remote add hub a@http://example.com", exitUsage, "user@host"},
		"an upstream on no remote":        {"dot set-upstream hub alice/shop", exitNotFound, `there is no remote "hub"`},
		"a setting that is none":          {"dot set shop colour=red", exitUsage, `there is no setting "colour"`},
		"a setting without a value":       {"dot set shop rpo", exitUsage, "name=value"},
		"a duration that is none":         {"dot set shop rpo=soon", exitUsage, "rpo=soon: a duration is"},
		"moving no dot":                   {"move nothing node-2", exitNotFound, `no dot called "nothing"`},
		"moving to no node by force":      {"move --force --epoch 4 shop node-9", exitNotFound, `there is no node "node-9"`},
		"cancelling no transfer":          {"transfers cancel ff", exitNotFound, "there is no transfer ff"},
		"cancelling one of many":          {"transfers retry d", exitConflict, "the beginning of 3 transfers' ids"},
		"cancelling what is no id":        {"transfers cancel shop", exitUsage, "is no transfer's id"},
		"cancelling nothing":              {"transfers cancel", exitUsage, "needs the id of a transfer"},
		"a transfer's unknown command":    {"transfers cancle d1", exitUsage, "did you mean cancel"},
		"a token for no time":             {"cluster token --lasts off", exitUsage, "a second at least"},
		"a token for some time":           {"cluster token --lasts soon", exitUsage, "a duration is a number and a unit"},
		"revoking what is no token":       {"cluster token revoke d1", exitUsage, "invalid id"},
		"moving by force without knowing": {"move --force shop node-1", exitUsage, "--force needs --epoch"},
		"moving a subdot":                 {"move shop.sub node-1", exitUsage, "a whole branch moves"},
		"an epoch without force":          {"move --epoch 4 shop node-1", exitUsage, "are for --force"},
		"push":                            {"push hub --remote-name x", exitFailure, "is not on this server yet"},
		"pull":                            {"pull hub", exitFailure, "is not on this server yet"},
		"clone":                           {"clone hub shop", exitFailure, "is not on this server yet"},
		"s3 remote add":                   {"s3 remote add b k:s", exitFailure, "is not on this server yet"},
		"s3 clone-subset":                 {"s3 clone-subset b c d", exitFailure, "is not on this server yet"},
		"checking one and all":            {"check shop --all", exitUsage, "name a dot or give --all"},
		"cluster init":                    {"cluster init --count 3", exitFailure, "is not on this server yet"},
		"cluster join":                    {"cluster join x:y --zfs z", exitFailure, "is not on this server yet"},
		"cluster upgrade":                 {"cluster upgrade", exitFailure, "is not on this server yet"},
		"cluster reset":                   {"cluster reset", exitFailure, "is not on this server yet"},
		"cluster remove":                  {"cluster remove node-1", exitFailure, "is not on this server yet"},
		"cluster ca rotate":               {"cluster ca rotate", exitFailure, "is not on this server yet"},
		"restoring nothing":               {"cluster restore-etcd", exitUsage, "not a backup"},
		"completing for no shell":         {"completion csh", exitUsage, "bash, zsh and fish"},
		"help on nothing":                 {"help nothing", exitUsage, `there is no command "nothing"`},
		"debug with bad JSON":             {"debug Ping --parse-json {", exitUsage, "not JSON"},
		"a host with a key in it":         {"list --host https://a:key@x", exitUsage, "a key must not stand in the address"},
		"a host in clear":                 {"list --host http://example.com", exitUsage, "http is for this machine only"},
		"a relative socket":               {"list --host unix:dm.sock", exitUsage, "must be absolute"},
		"a key file that is not there":    {"list --api-key-file /nowhere/key", exitFailure, "could not read the API key"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t, shop())
			if code := s.run(strings.Fields(test.line)...); code != test.code {
				t.Errorf("dm %s exits with %d, want %d", test.line, code, test.code)
			}
			if !strings.Contains(s.err, test.says) || !strings.HasPrefix(s.err, "Error: ") {
				t.Errorf("dm %s says %q, want %q", test.line, s.err, test.says)
			}
			if s.out != "" {
				t.Errorf("dm %s prints %q", test.line, s.out)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	seven := 7 * 24 * time.Hour
	var off time.Duration
	for name, test := range map[string]struct {
		line string
		want any
	}{
		"init in a namespace": {"init alice/shop", dotmesh.CreateDot{Dot: dotmesh.DotName{Namespace: "alice", Name: "shop"}}},
		"a commit's metadata is cut at the first sign only, and not at commas": {
			"commit -m x -d a=b=c,d --branch attempt",
			dotmesh.CommitRequest{Dot: admin("shop"), Branch: "attempt", Message: "x", Metadata: map[string]string{"a": "b=c,d"}},
		},
		"a commit's id may be given": {
			"commit -m x -d #commit-id=" + idFirst,
			dotmesh.CommitRequest{Dot: admin("shop"), Message: "x", ID: dotmesh.CommitID{UUID: uuid(0xc1)}},
		},
		"--hard changes nothing": {
			"reset --hard HEAD^", dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: admin("shop"), Ref: "HEAD^"}},
		},
		"reset --discard": {
			"reset --discard master --branch attempt", dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: admin("shop"), Branch: "attempt", Ref: "master"}, Discard: true},
		},
		"discard":       {"discard", dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: admin("shop")}}},
		"undo":          {"undo", dotmesh.UndoRequest{Dot: admin("shop")}},
		"undo 7":        {"undo 7 --dot shop", dotmesh.UndoRequest{Dot: admin("shop"), N: 7}},
		"commit delete": {"commit delete HEAD^", dotmesh.CommitRef{Dot: admin("shop"), Ref: "HEAD^"}},
		"branch -d":     {"branch -d attempt", dotmesh.BranchRequest{Dot: admin("shop"), Branch: "attempt"}},
		"diff A B":      {"diff HEAD^ attempt", dotmesh.DiffRequest{Dot: admin("shop"), From: "HEAD^", To: "attempt"}},
		"dot set": {
			"dot set shop replicas=2 expires=7d rpo=off collaborator+=alice",
			dotmesh.SetDot{Dot: admin("shop"), Replicas: ptr("2"), Expires: &seven, RPO: &off, AddCollaborator: "alice"},
		},
		"dot fork": {
			"dot fork alice/mine HEAD^",
			dotmesh.ForkDot{From: dotmesh.CommitRef{Dot: admin("shop"), Ref: "HEAD^"}, Dot: dotmesh.DotName{Namespace: "alice", Name: "mine"}},
		},
		"dot delete -f": {"dot delete -f shop", dotmesh.DeleteDot{Dot: admin("shop")}},
		"move --force": {
			"move --force --epoch 4 shop@attempt node-1",
			dotmesh.TakeoverRequest{Dot: admin("shop"), Branch: "attempt", Node: "00000000000000a1", Epoch: 4},
		},
		"move":             {"move shop@attempt node-2", dotmesh.MoveRequest{Dot: admin("shop"), Branch: "attempt", Node: "node-2"}},
		"transfers cancel": {"transfers cancel d1", "cancel " + idMove},
		"transfers retry":  {"transfers retry " + strings.ToUpper(idReplica), "retry " + idReplica},
		"drain":            {"cluster drain node-2", dotmesh.DrainRequest{Node: "node-2"}},
		"drain --stop":     {"cluster drain node-2 --stop", dotmesh.DrainRequest{Node: "node-2", Stop: true}},
		"token":            {"cluster token", dotmesh.TokenRequest{Lasts: time.Hour}},
		"token --voter":    {"cluster token --voter --lasts 7d", dotmesh.TokenRequest{Voter: true, Lasts: seven}},
		"token revoke":     {"cluster token revoke " + idToken, "revoke " + idToken},
		"smash-branch-master reads the epoch and the tip": {
			"dot smash-branch-master -f master",
			dotmesh.TakeoverRequest{Dot: admin("shop"), Branch: "master", Epoch: 4, Tip: dotmesh.CommitID{UUID: uuid(0xc2)}},
		},
		"smash-branch-master with a dot and a server": {
			"dot smash-branch-master -f shop master node-1",
			dotmesh.TakeoverRequest{Dot: admin("shop"), Branch: "master", Node: "00000000000000a1", Epoch: 4, Tip: dotmesh.CommitID{UUID: uuid(0xc2)}},
		},
		"debug with a text": {"debug CheckNameIsValid shop", `DotmeshRPC.CheckNameIsValid "shop"`},
		"debug with JSON":   {`debug Dotmesh.Dot --parse-json {"name":"shop"}`, `Dotmesh.Dot {"name":"shop"}`},
		"debug with none":   {"debug Dotmesh.Version", "Dotmesh.Version "},
	} {
		t.Run(name, func(t *testing.T) {
			f := shop()
			s := newShell(t, f)
			if code := s.run(strings.Fields(test.line)...); code != exitOK {
				t.Fatalf("dm %s exits with %d: %s", test.line, code, s.err)
			}
			if len(f.asked) != 1 || !reflect.DeepEqual(f.asked[0], test.want) {
				t.Errorf("dm %s asks for\n%+v, want\n%+v", test.line, f.asked, test.want)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestCheckoutMakesTheBranchFromACommit(t *testing.T) {
	f := shop()
	s := newShell(t, f)
	if code := s.run("checkout", "-b", "new", "HEAD^"); code != exitOK {
		t.Fatalf("it exits with %d: %s", code, s.err)
	}
	want := []any{
		dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: admin("shop"), Ref: "HEAD^"}, Name: "new"},
		dotmesh.BranchRequest{Dot: admin("shop"), Branch: "new"},
	}
	if !reflect.DeepEqual(f.asked, want) {
		t.Errorf("it asks for %+v, want %+v", f.asked, want)
	}
}

func TestBranchMakesABranchAndStays(t *testing.T) {
	f := shop()
	s := newShell(t, f)
	if code := s.run("branch", "new", "HEAD^"); code != exitOK || s.out+s.err != "" {
		t.Fatalf("it exits with %d and says %q%q", code, s.out, s.err)
	}
	want := []any{dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: admin("shop"), Ref: "HEAD^"}, Name: "new"}}
	if !reflect.DeepEqual(f.asked, want) {
		t.Errorf("it asks for %+v, want %+v", f.asked, want)
	}
}

func TestCommitSaysWhoHoldsIt(t *testing.T) {
	s := newShell(t, shop())
	s.run("commit", "-m", "x")
	if s.err != "2/2 durable\n" {
		t.Errorf("it says %q", s.err)
	}
	s.run("commit", "-m", "x", "-d", "#commit-id="+idSecond)
	if s.err != "1/2 durable\n" {
		t.Errorf("of a commit that a replica is missing it says %q", s.err)
	}
}

func TestResetSaysWhereTheRestIs(t *testing.T) {
	f := shop()
	f.stash = &f.dots[0].All[2].Branch
	s := newShell(t, f)
	for _, line := range []string{"reset HEAD^", "discard", "undo"} {
		s.run(strings.Fields(line)...)
		if !strings.Contains(s.err, "kept as master-RESET-20261122T101500Z until 2026-12-22") {
			t.Errorf("dm %s says %q", line, s.err)
		}
	}
}

func TestOnlyAYDeletes(t *testing.T) {
	for answer, deletes := range map[string]bool{
		"Y\n": true, "Y": true, "Y\r\n": true,
		"y\n": false, "yes\n": false, "YES\n": false, "Y \n": false, " Y\n": false, "\n": false, "": false, "\nY\n": false,
	} {
		for _, line := range []string{"dot delete shop", "dot smash-branch-master shop master"} {
			f := shop()
			s := newShell(t, f)
			s.stdin = answer
			code := s.run(strings.Fields(line)...)
			if deletes && (code != exitOK || len(f.asked) != 1) {
				t.Errorf("%q to dm %s: exit %d, %s", answer, line, code, s.err)
			}
			if !deletes && (code != exitFailure || len(f.asked) != 0 || !strings.Contains(s.err, "Aborted")) {
				t.Errorf("%q to dm %s: exit %d, asked for %v, %s", answer, line, code, f.asked, s.err)
			}
		}
	}
}

func TestListOfManyDotsSelectsNone(t *testing.T) {
	f := shop()
	f.add("alice/blog", f.dots[0].All)
	s := newShell(t, f)
	s.run("list")
	if strings.Contains(s.out, "* ") {
		t.Errorf("dm list marks a dot that nobody chose:\n%s", s.out)
	}
	if code := s.run("log"); code != exitUsage || !strings.Contains(s.err, "No current dot is selected") {
		t.Errorf("dm log exits with %d: %s", code, s.err)
	}
	s.run("switch", "alice/blog")
	s.run("list")
	if !strings.Contains(s.out, "\n* alice/blog") {
		t.Errorf("dm list does not mark the chosen dot:\n%s", s.out)
	}
	if code := s.run("log", "--dot", "shop"); code != exitOK {
		t.Errorf("dm log --dot exits with %d: %s", code, s.err)
	}
	s.env["DM_DOT"] = "nothing"
	if code := s.run("log"); code != exitNotFound {
		t.Errorf("dm log with DM_DOT exits with %d: %s", code, s.err)
	}
}

func TestSummaryFitsOnTheScreen(t *testing.T) {
	f := shop()
	for range 200 {
		f.add("x", f.dots[0].All)
	}
	s := newShell(t, f)
	s.run()
	if n := strings.Count(s.out, "\n"); n > 23 || !strings.Contains(s.out, "more: dm list") {
		t.Errorf("dm prints %d lines:\n%s", n, s.out)
	}
}

func TestWatchPrintsALineForEachChange(t *testing.T) {
	f := shop()
	f.events = []dotmesh.Event{
		{Kind: dotmesh.EventStats, Stats: &dotmesh.Stats{Branch: dotmesh.BranchID{UUID: uuid(1)}}},
		{Kind: dotmesh.EventNode, Node: &dotmesh.Node{}},
		{Kind: dotmesh.EventGap},
	}
	s := newShell(t, f)
	if code := s.run("status", "--watch", "-H"); code != exitOK {
		t.Fatalf("it exits with %d: %s", code, s.err)
	}
	if n := strings.Count(s.out, "\n"); n != 3 { // the first line, and one for each event of the branch
		t.Errorf("it prints\n%s", s.out)
	}
}

func TestTransfersAreWatched(t *testing.T) {
	f := shop()
	moved := f.moving[0]
	moved.State, moved.Commits, moved.Sent = dotmesh.TransferDone, 3, 4<<20
	f.events = []dotmesh.Event{
		{Kind: dotmesh.EventNode, Node: &dotmesh.Node{}},
		{Kind: dotmesh.EventTransfer, Transfer: &moved},
		{Kind: dotmesh.EventGap},
	}
	s := newShell(t, f)
	if code := s.run("transfers", "--watch"); code != exitOK {
		t.Fatalf("it exits with %d: %s", code, s.err)
	}
	lines := strings.Split(strings.TrimSpace(s.out), "\n")
	if len(lines) != 7 { // the list, the one that changed, and the list after the gap
		t.Fatalf("it prints\n%s", s.out)
	}
	for i, says := range map[int]string{
		1: "waiting  0 commits  -  node-2 is out of reach; try 3 in 5s",
		2: "d1112233  move  shop@master  node-1 -> node-2  running (receive)  1 of 3 commits  1.00 MiB of 4.00 MiB  512.00 kiB/s  6s left",
		3: "d1112233  move  shop@master  node-1 -> node-2  done  3 of 3 commits  4.00 MiB of 4.00 MiB",
	} {
		if !strings.HasSuffix(lines[i], says) {
			t.Errorf("line %d is %q, want %q", i, lines[i], says)
		}
	}
	for _, format := range []string{"-H", "-o=json", "-o=yaml"} {
		if code := s.run("transfers", "--watch", format); code != exitOK || strings.Count(s.out, idMove) != 3 {
			t.Errorf("%s: it exits with %d and prints\n%s", format, code, s.out)
		}
	}
}

func TestNothingOnItsWayIsNoError(t *testing.T) {
	f := shop()
	f.moving = nil
	s := newShell(t, f)
	if code := s.run("transfers"); code != exitOK || s.out != "" || !strings.Contains(s.err, "Nothing is on its way") {
		t.Errorf("it exits with %d, prints %q and says %q", code, s.out, s.err)
	}
	if s.run("transfers", "-o", "json"); s.out != "[]\n" {
		t.Errorf("in JSON it prints %q", s.out)
	}
}

// TestTheServerSaysWhatItCannotDo: dm does not know by itself what a server is able to.
func TestTheServerSaysWhatItCannotDo(t *testing.T) {
	for _, line := range []string{
		"move shop node-2", "transfers", "transfers --watch", "transfers cancel d1", "transfers retry " + idMove,
		"cluster drain node-2", "cluster token", "cluster token revoke " + idToken,
	} {
		f := shop()
		f.err = dotmesh.E("fake", dotmesh.Unsupported, "this is not on this server yet; nothing was done")
		s := newShell(t, f)
		if code := s.run(strings.Fields(line)...); code != exitFailure || s.err != "Error: this is not on this server yet; nothing was done\n" || s.out != "" {
			t.Errorf("dm %s exits with %d, says %q and prints %q", line, code, s.err, s.out)
		}
	}
}

func TestTheClusterIsForAdministratorsAndTheNodesForAll(t *testing.T) {
	f := shop()
	f.private = dotmesh.E("fake", dotmesh.Denied, "only the administrator may do this")
	s := newShell(t, f)
	if code := s.run("cluster", "status"); code != exitOK || !strings.HasPrefix(s.out, "  NODE ") || strings.Contains(s.out, "CERTIFICATE") {
		t.Errorf("it exits with %d and prints\n%s", code, s.out)
	}
	f.cluster.Quorum, f.private = false, nil
	if s.run("cluster", "status"); !strings.Contains(s.out, "nothing can be changed now") {
		t.Errorf("without a quorum it prints\n%s", s.out)
	}
	if s.run("cluster", "status", "-o", "json"); !strings.Contains(s.out, `"quorum": false`) || !strings.Contains(s.out, `"masters": 2`) {
		t.Errorf("in JSON it prints\n%s", s.out)
	}
}

func TestVersionOfASilentServer(t *testing.T) {
	f := shop()
	f.err = dotmesh.E("fake", dotmesh.Unreachable, "nobody there")
	s := newShell(t, f)
	if code := s.run("version"); code != exitUnreachable || !strings.HasSuffix(s.out, "Client:\n\tVersion: "+build.Version()+"\n") {
		t.Errorf("it exits with %d and prints %q", code, s.out)
	}
}

func TestBackupIsRestored(t *testing.T) {
	f := shop()
	s := newShell(t, f)
	s.run("cluster", "backup-etcd")
	s.stdin = s.out
	if code := s.run("cluster", "restore-etcd"); code != exitOK {
		t.Fatalf("it exits with %d: %s", code, s.err)
	}
	if want := []any{[]dotmesh.Entry{{Key: "cluster", Value: []byte("{}")}}}; !reflect.DeepEqual(f.asked, want) {
		t.Errorf("it restores %v", f.asked)
	}
	for name, input := range map[string]string{"the original's": `{"version":"v1"}`, "an empty one": `{"version":"v2"}`, "no JSON": "x"} {
		s.stdin = input
		if code := s.run("cluster", "restore-etcd"); code != exitUsage {
			t.Errorf("%s: exits with %d: %s", name, code, s.err)
		}
	}
}

func TestEveryFlagIsReadFromTheEnvironment(t *testing.T) {
	s := newShell(t, shop())
	s.env["DM_SCRIPTING"] = "true"
	s.run("list")
	if !strings.HasPrefix(s.out, "shop\t") {
		t.Errorf("DM_SCRIPTING: %q", s.out)
	}
	delete(s.env, "DM_SCRIPTING")
	s.env["DM_OUTPUT"] = "json"
	s.run("list")
	if !strings.HasPrefix(s.out, "[") {
		t.Errorf("DM_OUTPUT: %q", s.out)
	}
	s.run("list", "-o", "text")
	if !strings.HasPrefix(s.out, "Current") {
		t.Errorf("a flag goes before the environment: %q", s.out)
	}
	s.env["DM_TIMEOUT"] = "soon"
	if code := s.run("list"); code != exitUsage || !strings.Contains(s.err, "DM_TIMEOUT=soon") {
		t.Errorf("a bad one exits with %d: %s", code, s.err)
	}
	delete(s.env, "DM_TIMEOUT")
	s.env["DM_BRANCH"] = "attempt"
	if code := s.run("checkout", "attempt"); code != exitOK {
		t.Errorf("checkout minds DM_BRANCH: %s", s.err)
	}
}

func TestVerboseSaysWhatWasBeingDone(t *testing.T) {
	f := shop()
	f.err = dotmesh.Wrap("server.Dots", dotmesh.E("pool", dotmesh.Corrupt, "the pool is damaged"))
	s := newShell(t, f)
	s.run("list", "--verbose")
	if !strings.Contains(s.err, "server.Dots: pool: the pool is damaged") {
		t.Errorf("it says %q", s.err)
	}
}

func TestEmptyListsAreNotNull(t *testing.T) {
	s := newShell(t, &fake{})
	if s.run("list", "-o", "json"); s.out != "[]\n" {
		t.Errorf("dm list -o json prints %q", s.out)
	}
	if s.run("list", "-H"); s.out != "" {
		t.Errorf("dm list -H prints %q", s.out)
	}
	if s.run(); !strings.Contains(s.out, "No dots yet") {
		t.Errorf("dm prints %q", s.out)
	}
}

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatalf("this test needs /dev/full: %v", err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	s := newShell(t, shop())
	for _, line := range []string{"list", "log", "diff", "list -o json", "status --watch"} {
		if code := s.runTo(full, strings.Fields(line)...); code != exitFailure || !strings.Contains(s.err, "could not write the output") {
			t.Errorf("dm %s exits with %d: %s", line, code, s.err)
		}
	}
}
