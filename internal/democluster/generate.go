package democluster

import (
	"fmt"
	"time"

	"dotmesh.io/dotmesh"
)

// words are what generated dots are named after.
var words = struct{ teams, things, kinds, authors, messages []string }{
	teams:    []string{"admin", "billing", "catalog", "checkout", "crm", "fraud", "fulfil", "hr", "legal", "loyalty", "mail", "qa", "stock"},
	things:   []string{"accounts", "carts", "coupons", "events", "feeds", "invoices", "letters", "models", "orders", "prices", "queue", "refunds", "reviews", "returns", "stats", "tax", "users", "vouchers"},
	kinds:    []string{"cache", "copy", "db", "dev", "files", "index", "log", "queue", "spool", "test"},
	authors:  []string{"ann", "bob", "ci", "cron", "priya", "tomas"},
	messages: []string{"before the upgrade", "nightly", "clean state", "after the import", "schema changed", "last good one", "test data", "month closed"},
}

// generate makes dots until there are that many.
func (c *Cluster) generate(now time.Time, count int) {
	for i := len(c.order); i < count; i++ {
		c.generateOne(now, i)
	}
	c.past = now
}

func (c *Cluster) generateOne(now time.Time, i int) {
	team := dotmesh.Name(c.pick(words.teams))
	name := dotmesh.Name(fmt.Sprintf("%s-%s-%d", c.pick(words.things), c.pick(words.kinds), i))
	age := time.Duration(1+c.rng.IntN(300)) * day
	s := c.begin(now, age, team, name, "admin", c.rng.IntN(len(c.nodes)))
	commits := 1 + c.rng.IntN(5)
	for n := range commits {
		ago := age / time.Duration(commits+1) * time.Duration(commits-n)
		c.scribble(s, "master", ago+time.Minute)
		s.commit("master", ago, c.pick(words.authors), c.pick(words.messages))
	}
	switch c.rng.IntN(8) {
	case 0:
		s.fork("master", "HEAD", dotmesh.Name(fmt.Sprintf("fix-%d", i%1000)), age/9, c.pick(words.authors), c.rng.IntN(len(c.nodes)))
	case 1:
		c.scribble(s, "master", time.Duration(1+c.rng.IntN(600))*time.Second)
	case 2:
		id := fmt.Sprintf("%08x", c.rng.Uint32())
		s.usedBy("master", dotmesh.DefaultSubdot, id, string(name)+"-"+id[:4])
	}
}

// scribble writes something into a generated dot.
func (c *Cluster) scribble(s *story, branch dotmesh.Name, ago time.Duration) {
	size := int64(1+c.rng.IntN(64)) * mib
	s.write(branch, ago, "__default__/data.bin", binaryFile(size, c.rng.Uint64()), size/8)
	if c.rng.IntN(3) == 0 {
		s.write(branch, ago, "__default__/README", textFile(fmt.Sprintf("revision %d\n", c.rng.IntN(1000))), 4096)
	}
}

func (c *Cluster) pick(from []string) string { return from[c.rng.IntN(len(from))] }
