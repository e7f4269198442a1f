package democluster

import (
	"io/fs"

	"dotmesh.io/dotmesh"
)

// Read returns a file of a branch as it is now, or [fs.ErrNotExist].
func (c *Cluster) Read(dot dotmesh.DotName, branch dotmesh.Name, path string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := c.writable(dot, branch, mayAll)
	if err != nil {
		return "", err
	}
	f := b.data.find(path)
	if f == nil {
		return "", fs.ErrNotExist
	}
	return f.text, nil
}

// Attached reports whether node-1 has a volume mounted.
func (c *Cluster) Attached(v dotmesh.Volume) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, _ := c.attached(v)
	return a != nil
}
