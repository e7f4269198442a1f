package democluster

import (
	"fmt"
	"io/fs"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
)

// The hand-made dots are those of the engineers of a shop. The order in which the stories
// are told decides the ids, so a new one goes to the end.
func (c *Cluster) makeShop(now time.Time) {
	c.past = now
	c.tokens = append(c.tokens, &token{dotmesh.Token{ID: c.newID(), By: "admin", Created: now.Add(-12 * time.Minute), Expires: now.Add(48 * time.Minute)}})
	c.shopDB(now)
	c.paymentsDB(now)
	c.paymentsLog(now)
	c.sessions(now)
	c.images(now)
	c.paymentsCopy(now)
	c.fixtures(now)
	c.searchIndex(now)
	c.synonyms(now)
	c.warehouse(now)
	c.dashboards(now)
	c.ciCache(now)
	c.playground(now)
	c.makeTransfers(now)
}

// tables is a data directory of PostgreSQL, roughly.
func tables(s *story, branch dotmesh.Name, ago time.Duration, size int64, seed uint64) {
	s.write(branch, ago, "__default__/PG_VERSION", textFile("16\n"), 4096)
	s.write(branch, ago, "__default__/postgresql.conf", textFile(postgresConf), 4096)
	s.write(branch, ago, "__default__/base/16384/16397", binaryFile(size/4*3, seed), size/4*3)
	s.write(branch, ago, "__default__/base/16384/16402", binaryFile(size/4, seed+1), size/4)
	s.write(branch, ago, "__default__/pg_wal/000000010000000000000007", binaryFile(16*mib, seed+2), 16*mib)
}

const postgresConf = `# PostgreSQL, as the shop runs it
listen_addresses = '*'
max_connections = 200
shared_buffers = 512MB
wal_level = replica
log_min_duration_statement = 250
`

func (c *Cluster) shopDB(now time.Time) {
	s := c.begin(now, 90*day, "admin", "shop", "admin", 0)
	tables(s, "master", 90*day-time.Minute, 1900*mib, 100)
	s.commit("master", 90*day-2*time.Minute, "ann", "import of the old shop's tables", "ticket", "SHOP-1", "source", "mysql-dump-2026-08-28")
	for i, what := range []string{
		"catalogue schema v2", "prices in cents, not in floats", "first 4,000 articles", "autumn catalogue", "customer addresses split",
		"before the migration to v3", "migration to v3", "articles without a picture removed", "VAT tables of 2027", "stock corrected after the count",
	} {
		ago := (80 - 7*time.Duration(i)) * day
		s.write("master", ago+time.Hour, "__default__/base/16384/16402", binaryFile(int64(475+9*i)*mib, uint64(110+i)), int64(20+3*i)*mib)
		s.commit("master", ago, []string{"ann", "bob", "priya"}[i%3], what)
	}
	s.fork("master", "HEAD^", "spring-sale", 16*day, "priya", 1)
	s.write("spring-sale", 10*day, "__default__/sale/prices.csv", textFile("article,price\n1001,19.90\n1002,24.50\n1003,7.95\n"), 4096)
	s.commit("spring-sale", 9*day, "priya", "sale prices, first draft", "ticket", "SHOP-311")
	s.write("spring-sale", 5*day, "__default__/sale/prices.csv", textFile("article,price\n1001,17.90\n1002,24.50\n1003,6.95\n1004,3.50\n"), 4096)
	s.commit("spring-sale", 4*day, "priya", "sale prices after the talk with purchasing")
	s.fork("spring-sale", "HEAD", "spring-sale-b", 3*day, "tomas", 2)
	s.write("spring-sale-b", 2*day, "__default__/sale/prices.csv", textFile("article,price\n1001,18.90\n1002,22.50\n1003,6.95\n1004,3.50\n"), 4096)
	s.commit("spring-sale-b", 2*day-time.Hour, "tomas", "variant B for the price test")
	s.write("master", 3*time.Hour, "__default__/base/16384/16397", binaryFile(1440*mib, 190), 64*mib)
	s.commit("master", 2*time.Hour, "bob", "bulk update of weights, wrong unit")
	s.reset("master", "HEAD^", 110*time.Minute, "bob")
	s.write("master", 40*time.Second, "__default__/base/16384/16402", binaryFile(580*mib, 191), 7*mib)
	s.usedBy("master", dotmesh.DefaultSubdot, "9f3c2a71b0de", "shop-web-1", "41c07be95a13", "shop-web-2", "e07d5512c9aa", "shop-worker")
	s.written("master", writer{path: "__default__/base/16384/16402", rate: 180 << 10})
}

func (c *Cluster) paymentsDB(now time.Time) {
	s := c.begin(now, 200*day, "admin", "payments-db", "admin", 1)
	s.dot.Collaborators = []dotmesh.UserID{c.userNamed("ann").ID, c.userNamed("bob").ID}
	tables(s, "master", 200*day-time.Minute, 4000*mib, 200)
	for i := range 115 {
		ago := time.Duration(115-i)*day*3/2 + 5*time.Hour
		s.write("master", ago+time.Hour, "__default__/base/16384/16402", binaryFile(int64(1000+i/2)*mib, uint64(210+i)), int64(2+i%9)*mib)
		s.commit("master", ago, "cron", fmt.Sprintf("nightly, run %d", 1201+i))
	}
	s.fork("master", "HEAD~2", "old", day, "ann", 0)
	s.write("master", time.Hour+time.Minute, "__default__/postgresql.conf", textFile(postgresConf+"archive_mode = on\n"), 4096)
	s.commit("master", time.Hour, "bob", "before migration", "ticket", "PAY-1180")
	s.fork("master", "HEAD", "fix-42", 50*time.Minute, "bob", 2)
	for i, what := range []string{"ledger rebuilt without doubles", "refunds of March booked twice: fixed", "sums checked against the bank's file"} {
		s.write("fix-42", time.Duration(45-10*i)*time.Minute, "__default__/fix/ledger.sql", textFile(strings.Join(strings.SplitAfter(ledger, "\n")[:4+2*i], "")), 4096)
		s.commit("fix-42", time.Duration(40-10*i)*time.Minute, "bob", what, "ticket", "PAY-42")
	}
	s.write("master", 3*time.Minute, "__default__/base/16384/16402", binaryFile(1062*mib, 399), 9*mib)
	s.commit("master", 2*time.Minute, "ann", "add march invoices", "ticket", "PAY-1204", "rows", "48211")
	s.write("master", 4*time.Second, "__default__/base/16384/16397", binaryFile(3002*mib, 400), 12*mib)
	s.usedBy("master", dotmesh.DefaultSubdot, "7f3a90c1d2e4", "payments-api-1", "b81e66f0a377", "payments-api-2")
	s.written("master", writer{path: "__default__/base/16384/16397", rate: 260 << 10})
}

const ledger = `-- PAY-42: refunds of March were booked twice
begin;
delete from ledger l using ledger d
 where l.id > d.id and l.refund = d.refund and l.booked = d.booked;
update accounts a set balance = (select sum(amount) from ledger where account = a.id);
-- must be zero before this is committed
select count(*) from ledger group by refund having count(*) > 1;
commit;
`

func (c *Cluster) paymentsLog(now time.Time) {
	s := c.begin(now, 30*day, "admin", "payments-log", "admin", 0)
	for i := range 9 {
		ago := time.Duration(27-3*i) * day
		s.write("master", ago+time.Minute, fmt.Sprintf("__default__/archive/2026-%02d.log.zst", 3+i), binaryFile(80*mib, uint64(500+i)), 80*mib)
		s.commit("master", ago, "cron", fmt.Sprintf("rotate, archive %d", i+1))
	}
	s.write("master", 32*time.Second, "__default__/archive/2026-12.log.zst", binaryFile(420*mib, 520), 420*mib)
	s.commit("master", 31*time.Second, "cron", "rotate, archive 10")
	s.write("master", 12*time.Second, "__default__/archive/2026-12b.log.zst", binaryFile(260*mib, 521), 260*mib)
	s.commit("master", 11*time.Second, "cron", "rotate, archive 11")
	s.behind("master", 2, 2)
	s.usedBy("master", dotmesh.DefaultSubdot, "c2d9e1f70b64", "log-shipper")
	s.written("master", writer{
		path: "__default__/current.log", line: "payment %d accepted\n", rate: 2 << 10,
		every: 45 * time.Second, by: "cron", message: "rotate, line %d",
	})
}

func (c *Cluster) sessions(now time.Time) {
	s := c.begin(now, 40*day, "admin", "sessions", "admin", 2)
	s.dot.RPO = 30 * time.Second
	s.write("master", 40*day-time.Hour, "data/dump.rdb", binaryFile(210*mib, 600), 210*mib)
	s.write("master", 40*day-time.Hour, "data/redis.conf", textFile("appendonly yes\nmaxmemory 2gb\nmaxmemory-policy allkeys-lru\n"), 4096)
	s.commit("master", 40*day-2*time.Hour, "tomas", "sessions move out of the shop's database")
	s.write("master", 6*day, "data/redis.conf", textFile("appendonly yes\nmaxmemory 4gb\nmaxmemory-policy volatile-lru\n"), 4096)
	s.commit("master", 6*day-time.Hour, "tomas", "twice the memory for the sale", "change", "CHG-77")
	s.write("master", 2*time.Second, "data/dump.rdb", binaryFile(231*mib, 601), 3*mib)
	s.usedBy("master", "data", "5d0c-redis-0", "shop/redis-0", "5d0c-redis-1", "shop/redis-1")
	s.written("master", writer{path: "data/dump.rdb", rate: 90 << 10})
}

func (c *Cluster) images(now time.Time) {
	s := c.begin(now, 120*day, "admin", "images", "admin", 2)
	for i := range 12 {
		ago := time.Duration(110-9*i) * day
		s.write("master", ago+time.Hour, fmt.Sprintf("__default__/articles/%d.tar", 1000+i), binaryFile(3200*mib, uint64(700+i)), 3200*mib)
		s.commit("master", ago, "priya", fmt.Sprintf("pictures of articles %d000 to %d999", 10+i, 10+i))
	}
	s.write("master", 20*time.Minute, "__default__/articles/latest", &file{mode: fs.ModeSymlink, text: "1011.tar", size: 8}, 512)
	s.write("master", 20*time.Minute, "__default__/articles/1012.tar", binaryFile(96*mib, 720), 96*mib)
	s.without(0, "node-2,node-3")
	c.moving(s, now, 0)
}

// moving tells of a branch that is on its way to a node since some minutes.
func (c *Cluster) moving(s *story, now time.Time, at int) {
	b := s.on("master")
	c.past = now.Add(-5 * time.Minute)
	t := c.newTransfer(transfer{branch: b, from: c.node(b.Pointer.Master), to: c.nodes[at]}, dotmesh.Transfer{Kind: dotmesh.TransferMove, Step: stepBegin})
	c.beginMove(t)
	c.past = now.Add(-5*time.Minute + 2*time.Second)
	c.release(t)
	c.past = now
	for _, m := range c.toReceive(t)[:4] {
		c.arrive(c.lagOf(t.to, m.line), m)
		t.Commits++
		t.Sent += m.bytes()
	}
	t.Rate = 61 << 20
	t.Commit = c.toReceive(t)[0].ID
	t.Updated = now
}

// asked tells of a branch that was asked to go to a node, and has a reason to stay yet.
func (c *Cluster) asked(s *story, now time.Time, branch dotmesh.Name, at int) {
	b := s.on(branch)
	c.past = now.Add(-2 * time.Minute)
	t := c.newTransfer(transfer{branch: b, from: c.node(b.Pointer.Master), to: c.nodes[at]}, dotmesh.Transfer{Kind: dotmesh.TransferMove, Step: stepBegin})
	c.beginMove(t)
	c.wait(t, c.stuck(t))
	c.past = now
}

func (c *Cluster) paymentsCopy(now time.Time) {
	s := c.begin(now, 25*day, "qa", "payments-copy", "priya", 2)
	tables(s, "master", 25*day-time.Hour, 1200*mib, 800)
	s.commit("master", 25*day-2*time.Hour, "priya", "copy of payments-db without names", "from", "payments-db@master")
	s.fork("master", "HEAD", "fix-42", 3*day, "bob", 2)
	s.write("fix-42", 2*day, "__default__/fix/ledger.sql", textFile(ledger), 4096)
	s.commit("fix-42", 2*day-time.Hour, "bob", "the fix, to be tried here first", "ticket", "PAY-42")
	s.checkout("fix-42", 2*day-2*time.Hour, "bob")
	s.write("fix-42", day+10*time.Minute, "__default__/base/16384/16402", binaryFile(305*mib, 810), 18*mib)
	s.takeOver("fix-42", day, "admin", 1)
	s.write("fix-42", 90*time.Second, "__default__/notes.md", textFile("# PAY-42\n\nAll sums agree with the bank's file of March.\n"), 1228)
	s.usedBy("fix-42", dotmesh.DefaultSubdot, "qa-pay-7c9d", "qa/payments-7c9d-x2x4k")
}

func (c *Cluster) fixtures(now time.Time) {
	s := c.begin(now, 60*day, "qa", "fixtures", "tomas", 0)
	s.write("master", 60*day-time.Hour, "__default__/users.json", textFile("[\n  {\"name\": \"Ada\", \"vip\": true},\n  {\"name\": \"Ben\"}\n]\n"), 4096)
	s.write("master", 60*day-time.Hour, "__default__/carts.json", textFile("[]\n"), 4096)
	s.commit("master", 60*day-2*time.Hour, "tomas", "two users, no carts")
	s.write("master", 30*day, "__default__/carts.json", textFile("[\n  {\"user\": \"Ada\", \"articles\": [1001, 1003]}\n]\n"), 4096)
	s.commit("master", 30*day-time.Hour, "tomas", "a cart with two articles")
	s.fork("master", "HEAD", "empty-cart", 12*day, "priya", 0)
	s.write("empty-cart", 11*day, "__default__/carts.json", textFile("[\n  {\"user\": \"Ada\", \"articles\": []}\n]\n"), 4096)
	s.commit("empty-cart", 11*day-time.Hour, "priya", "a cart that was emptied", "bug", "QA-88")
	s.fork("master", "HEAD^", "no-carts", 8*day, "priya", 1)
}

func (c *Cluster) searchIndex(now time.Time) {
	s := c.begin(now, 70*day, "search", "index", "tomas", 1)
	for i, what := range []string{"first index", "German stems", "all languages", "index of the autumn catalogue", "reindexed after the crash", "shards doubled"} {
		ago := time.Duration(65-11*i) * day
		s.write("master", ago+time.Hour, fmt.Sprintf("nodes/0/_%d.cfs", i%2), binaryFile(int64(2400+300*i)*mib, uint64(900+i)), int64(900+300*i)*mib)
		s.write("master", ago+time.Hour, "nodes/segments.txt", textFile(fmt.Sprintf("generation %d\nshards %d\n", 11+i, 4+4*(i/5))), 4096)
		s.commit("master", ago, "tomas", what)
	}
	s.write("master", 25*time.Second, "nodes/0/_1.cfs", binaryFile(3950*mib, 930), 140*mib)
	s.usedBy("master", "nodes", "es-0-41ab", "search/es-data-0")
	s.written("master", writer{path: "nodes/0/_1.cfs", rate: 700 << 10})
}

func (c *Cluster) synonyms(now time.Time) {
	s := c.begin(now, 45*day, "search", "synonyms", "tomas", 1)
	text := "jumper, sweater, pullover\n"
	for i, more := range []string{"trainers, sneakers\n", "lorry, truck\n", "nappy, diaper\n", "torch, flashlight\n", "biscuit, cookie\n"} {
		text += more
		s.write("master", time.Duration(40-8*i)*day, "__default__/en.txt", textFile(text), 4096)
		s.commit("master", time.Duration(40-8*i)*day-time.Hour, []string{"tomas", "ann"}[i%2], fmt.Sprintf("%d pairs for English", i+2))
	}
	s.fork("master", "HEAD", "welsh", 3*day, "ann", 0)
	s.write("welsh", 3*day-time.Hour, "__default__/cy.txt", textFile("siwmper, gwau\n"), 4096)
	s.usedBy("welsh", dotmesh.DefaultSubdot, "a90c-editor", "synonym-editor")
	c.asked(s, now, "welsh", 1)
}

func (c *Cluster) warehouse(now time.Time) {
	s := c.begin(now, 451*day, "reporting", "warehouse", "ann", 1)
	for i := range 449 {
		ago := time.Duration(449-i)*day + 90*time.Minute
		s.write("master", ago+time.Hour, fmt.Sprintf("__default__/parts/%02d.parquet", i%12), binaryFile(int64(40+i%60)*mib, uint64(2000+i)), int64(6+i%5)*mib)
		if i%30 == 0 {
			s.write("master", ago+time.Hour, "__default__/schema.sql", textFile(fmt.Sprintf("-- revision %d\ncreate table sales (day date, article int, pieces int, cents bigint);\n", i/30+1)), 4096)
		}
		s.commit("master", ago, "nightly", fmt.Sprintf("facts of %s", now.Add(-ago).Format(time.DateOnly)), "rows", fmt.Sprint(180_000+731*(i%97)))
		if i == 419 {
			monthEnd(s, ago-time.Hour)
		}
	}
}

// monthEnd tells of corrections to the facts, which come in while the nightly runs go on.
func monthEnd(s *story, ago time.Duration) {
	s.fork("master", "HEAD", "month-end", ago, "ann", 1)
	s.write("month-end", ago-time.Hour, "__default__/corrections.csv", textFile("day,article,pieces\n2026-10-27,1003,-4\n"), 4096)
	s.commit("month-end", ago-2*time.Hour, "ann", "corrections before the books are closed", "ticket", "REP-9")
}

func (c *Cluster) dashboards(now time.Time) {
	s := c.begin(now, 33*day, "reporting", "dashboards", "ann", 0)
	s.write("master", 33*day-time.Hour, "__default__/sales.json", textFile("{\n  \"title\": \"Sales\",\n  \"panels\": [\"pieces\", \"turnover\"]\n}\n"), 4096)
	s.commit("master", 33*day-2*time.Hour, "ann", "sales, pieces and turnover")
	s.write("master", 8*day, "__default__/sales.json", textFile("{\n  \"title\": \"Sales\",\n  \"panels\": [\"pieces\", \"turnover\", \"returns\"]\n}\n"), 4096)
	s.write("master", 8*day, "__default__/grafana.db", binaryFile(6*mib, 3000), 2*mib)
	s.commit("master", 8*day-time.Hour, "ann", "returns beside turnover")
	s.usedBy("master", dotmesh.DefaultSubdot, "grafana-55b8", "reporting/grafana-55b8-rk9wz")
}

func (c *Cluster) ciCache(now time.Time) {
	s := c.begin(now, 15*day, "platform", "ci-cache", "tomas", 2)
	s.dot.Expires = 3 * day
	for i := range 5 {
		ago := time.Duration(13-3*i) * day
		s.write("master", ago+time.Hour, "__default__/go-build.tar", binaryFile(int64(900+40*i)*mib, uint64(3100+i)), 300*mib)
		s.commit("master", ago, "ci", fmt.Sprintf("cache after build %d", 8120+37*i))
	}
	s.reset("master", "HEAD~2", 20*time.Hour, "tomas")
	s.write("master", 5*time.Hour, "__default__/go-build.tar", binaryFile(990*mib, 3190), 310*mib)
	s.commit("master", 5*time.Hour-time.Minute, "ci", "cache after build 8305")
	s.written("master", writer{path: "__default__/go-build.tar", rate: 40 << 10, every: 4 * time.Minute, by: "ci", message: "cache after build 83%02d", wrote: 5})
}

func (c *Cluster) playground(now time.Time) {
	s := c.begin(now, 9*day, "ann", "playground", "ann", 0)
	s.write("master", 9*day-time.Hour, "__default__/todo.txt", textFile("try dm undo\ntry dm diff\n"), 4096)
	s.commit("master", 9*day-2*time.Hour, "ann", "what I want to try")
	s.write("master", 8*day, "__default__/todo.txt", textFile("try dm diff\n"), 4096)
	s.write("master", 8*day, "__default__/picture.png", binaryFile(48<<10, 3200), 48<<10)
	s.commit("master", 8*day-time.Hour, "ann", "undo works")
	s.write("master", 26*time.Minute, "__default__/todo.txt", textFile("try dm branch\n"), 1024)
}

// makeTransfers tells of the transfers to and from the remote: one under way, one that is
// tried again later, and one that has given up.
func (c *Cluster) makeTransfers(now time.Time) {
	c.past = now.Add(-19 * time.Second)
	pay := c.dotNamed(dotmesh.DotName{Namespace: "admin", Name: "payments-db"}).current()
	push := c.pushTo("hub", pay, 9, 1900*mib)
	push.Sent, push.Commits, push.Rate = 1178*mib, 5, 48*mib
	qa := c.dotNamed(dotmesh.DotName{Namespace: "qa", Name: "payments-copy"}).find("master")
	c.past = now.Add(-70 * time.Second)
	pull := c.newTransfer(transfer{branch: qa, to: c.node(qa.Pointer.Master), breaks: 610 * mib, left: 4 * time.Second}, dotmesh.Transfer{
		Kind: dotmesh.TransferPull, From: "hub", Of: 4, Commits: 1, Size: 980 * mib, Sent: 602 * mib, Try: 2,
		State: dotmesh.TransferWaiting, Reason: "hub closed the connection: unexpected EOF", Commit: qa.head().ID,
	})
	pull.Retry = now.Add(4 * time.Second)
	c.past = now.Add(-26 * time.Minute)
	index := c.dotNamed(dotmesh.DotName{Namespace: "search", Name: "index"}).current()
	failed := c.pushTo("hub", index, 6, 9100*mib)
	failed.Sent, failed.Commits, failed.Try = 2211*mib, 1, maxTries
	c.past = now.Add(-14 * time.Minute)
	c.end(failed, dotmesh.TransferFailed, `hub has no space left for search/index; make room there, then "dm transfers retry `+failed.ID.String()+`" goes on where it stopped`)
	c.past = now
}
